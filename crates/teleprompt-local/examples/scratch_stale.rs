//! scratch
use std::path::Path;
use futures::executor::block_on;
use teleprompt_core::*;
use teleprompt_local::*;
fn cpu() -> f64 { let s = std::fs::read_to_string("/proc/self/schedstat").unwrap(); let _ = s; 
  let mut t = 0f64; for e in std::fs::read_dir("/proc/self/task").unwrap() { let p = e.unwrap().path().join("schedstat"); if let Ok(s) = std::fs::read_to_string(p) { t += s.split(' ').next().unwrap().parse::<f64>().unwrap() } } t / 1e9 }
fn main() {
    let lm = LocalLm::load("x", Path::new("/tmp/m/smollm2.gguf"), EngineConfig { threads: Some(1), ..Default::default() }).unwrap();
    let go = |kind: &str, words: usize, max: u32| {
        let mut r = LmRequest::new(vec![Message::user(format!("{kind} ").repeat(words))]);
        r.settings.max_tokens = Some(max);
        r.constraint = None;
        let c = cpu();
        let out = block_on(lm.generate(&r)).unwrap();
        (cpu() - c, out.usage)
    };
    for round in 0..2 {
        println!("prefill 600: {:?}", go("alpha", 600, 1));
        for _ in 0..3 { println!("one token: {:?}", go("alpha", 600, 1)); println!("33 tokens: {:?}", go("alpha", 600, 33)); }
        if round == 0 { for k in ["beta", "gamma", "delta", "house", "tree", "river", "stone"] { println!("fill {:?}", go(k, 900, 1)); } }
    }
}
