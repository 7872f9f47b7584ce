//! Coordinate ascent.

use super::history::History;
use super::{Search, Space, Told};

/// Changes one dimension at a time: tries all its values with the others held, moves to the best,
/// goes on to the next dimension, and ends after a round in which nothing was gained.
///
/// It needs few trials where dimensions hardly interact, and stops at a local optimum where they
/// do. It moves to the highest mean, whatever its number of examples; of equal ones it stays where
/// it is, or takes the first value. The values of one dimension may be out together; then `ask` gives
/// none until they are told. COPRO goes through predictors the same way, but its texts are not known
/// before it starts.
///
/// ```
/// use teleprompt::optimize::search::{CoordinateAscent, Search, Space, Told};
/// let mut search = CoordinateAscent::new(Space::new(vec![10, 10])?, vec![0, 0]);
/// let mut trials = 0;
/// while let Some(point) = search.ask() {
///     trials += 1;
///     search.tell(&point, Told { mean: -(point[0].abs_diff(7) as f64) - point[1] as f64, n: 20 });
/// }
/// assert_eq!(search.best().map(|(point, _)| point.clone()), Some(vec![7, 0]));
/// assert!(trials < 40);
/// # Ok::<(), teleprompt::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CoordinateAscent {
    space: Space,
    centre: Vec<usize>,
    dimension: usize,
    /// Dimensions left until one round has gained nothing.
    left: usize,
    out: Vec<Vec<usize>>,
    history: History<Vec<usize>>,
}

impl CoordinateAscent {
    /// A search that starts here. Values that a dimension does not have become its last.
    pub fn new(space: Space, start: Vec<usize>) -> Self {
        let value = |(d, &size): (usize, &usize)| start.get(d).map_or(0, |&v| v.min(size - 1));
        let centre = space.sizes().iter().enumerate().map(value).collect();
        // A space without dimensions has its one point to try.
        let left = space.sizes().len().max(1);
        let (out, history) = (Vec::new(), History::default());
        Self { space, centre, dimension: 0, left, out, history }
    }

    /// The centre and the points that differ from it in the current dimension.
    fn line(&self) -> Vec<Vec<usize>> {
        let size = self.space.sizes().get(self.dimension).copied().unwrap_or(1);
        let mut line = vec![self.centre.clone()];
        for value in 0..size {
            let mut point = self.centre.clone();
            point.iter_mut().skip(self.dimension).take(1).for_each(|v| *v = value);
            if point != self.centre {
                line.push(point);
            }
        }
        line
    }

    /// Moves to the best of a line that is all told, and on to the next dimension.
    fn advance(&mut self, line: Vec<Vec<usize>>) {
        let mut best: Option<(Vec<usize>, f64)> = None;
        for point in line {
            let told = self.history.get(&point).filter(|told| !told.failed());
            let mean = told.map_or(f64::NEG_INFINITY, |told| told.mean);
            if best.as_ref().is_none_or(|(_, b)| mean > *b) {
                best = Some((point, mean));
            }
        }
        let gained = best.filter(|(point, _)| *point != self.centre);
        let dimensions = self.space.sizes().len();
        if let Some((point, _)) = gained {
            self.centre = point;
            self.left = dimensions;
        }
        self.left -= 1;
        self.dimension = (self.dimension + 1) % dimensions.max(1);
    }
}

impl Search for CoordinateAscent {
    type Point = Vec<usize>;

    fn ask(&mut self) -> Option<Vec<usize>> {
        while self.left > 0 {
            let line = self.line();
            let unknown = |point: &&Vec<usize>| self.history.get(point).is_none();
            let open: Vec<&Vec<usize>> = line.iter().filter(unknown).collect();
            if let Some(&next) = open.iter().find(|point| !self.out.contains(point)) {
                self.out.push(next.clone());
                return Some(next.clone());
            }
            if !open.is_empty() {
                return None;
            }
            self.advance(line);
        }
        None
    }

    fn tell(&mut self, point: &Vec<usize>, score: Told) {
        self.out.retain(|out| out != point);
        self.history.tell(point, score);
    }

    fn best(&self) -> Option<(&Vec<usize>, Told)> {
        self.history.best()
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;
    use crate::data::Rng;

    #[test]
    fn coordinate_ascent_keeps_the_contract() {
        let space = Space::new(vec![3, 4, 2]).unwrap();
        check::check_search(|seed| {
            CoordinateAscent::new(space.clone(), space.random(&mut Rng::new(seed)))
        });
    }

    fn run(search: &mut CoordinateAscent, score: impl Fn(&[usize]) -> f64) -> usize {
        let mut trials = 0;
        while let Some(point) = search.ask() {
            search.tell(&point, Told { mean: score(&point), n: 10 });
            trials += 1;
        }
        trials
    }

    #[test]
    fn a_separable_function_takes_one_round_and_nothing_twice() {
        let space = Space::new(vec![6; 4]).unwrap();
        let mut search = CoordinateAscent::new(space, vec![0; 4]);
        let trials = run(&mut search, |p| p.iter().map(|&v| -(v as f64 - 3.0).abs()).sum());
        assert_eq!(search.best().unwrap().0, &vec![3; 4]);
        // 1 + 4 × 5 for the first round, 3 × 5 more to see that it gained all there is.
        assert_eq!(trials, 21 + 15);
    }

    #[test]
    fn a_line_may_be_out_together_and_failures_are_not_moved_to() {
        let space = Space::new(vec![3, 2]).unwrap();
        let mut search = CoordinateAscent::new(space, vec![0, 9]);
        let line: Vec<_> = std::iter::from_fn(|| search.ask()).collect();
        assert_eq!(line, [vec![0, 1], vec![1, 1], vec![2, 1]]);
        for (point, mean) in line.iter().zip([0.1, f64::INFINITY, f64::NAN]) {
            search.tell(point, Told { mean, n: 5 });
        }
        assert_eq!(search.ask(), Some(vec![0, 0]));
        assert_eq!(search.ask(), None);
        search.tell(&vec![0, 0], Told::FAILED);
        assert_eq!(search.ask(), None);
        assert_eq!(search.best(), Some((&vec![0, 1], Told { mean: 0.1, n: 5 })));
    }

    #[test]
    fn a_space_of_one_point_is_tried_once() {
        let mut search = CoordinateAscent::new(Space::new(vec![]).unwrap(), vec![]);
        assert_eq!(run(&mut search, |_| 1.0), 1);
    }
}
