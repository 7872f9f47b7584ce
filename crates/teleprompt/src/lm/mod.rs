//! Language models: providers, the layers around them, and the names they go by.
