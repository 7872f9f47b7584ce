use proptest::prelude::*;
use regex::Regex;

use super::*;

fn whole_text(pattern: &str) -> Regex {
    Regex::new(&format!("^(?:{pattern})$")).unwrap()
}

fn limits(min: Option<Number>, max: Option<Number>) -> Constraints {
    Constraints { min, max, ..Constraints::default() }
}

fn float(x: f64) -> Number {
    Number::from_f64(x).unwrap()
}

proptest! {
    #[test]
    fn whole_ranges_hold_exactly_their_numbers(a in -3000i64..3000, b in -3000i64..3000) {
        let (low, high) = (a.min(b), a.max(b));
        let regex = whole_text(&whole(&limits(Some(low.into()), Some(high.into()))));
        for n in -3100..3100 {
            prop_assert_eq!(regex.is_match(&n.to_string()), (low..=high).contains(&n), "{}", n);
        }
    }

    #[test]
    fn open_whole_ranges_hold_exactly_their_numbers(low: i64, n: i64) {
        let regex = whole_text(&whole(&limits(Some(low.into()), None)));
        prop_assert_eq!(regex.is_match(&n.to_string()), n >= low);
        let regex = whole_text(&whole(&limits(None, Some(low.into()))));
        prop_assert_eq!(regex.is_match(&n.to_string()), n <= low);
    }

    #[test]
    fn ranges_hold_exactly_their_numbers(
        a in -2000i32..2000, b in -2000i32..2000, scale in 0usize..4, n in -200_000i32..200_000,
        more in 0i32..5,
    ) {
        let tens = 10f64.powi(i32::try_from(scale).unwrap());
        let (low, high) = (f64::from(a.min(b)) / tens, f64::from(a.max(b)) / tens);
        let x = f64::from(n) / tens / 10f64.powi(more);
        let mut text = String::new();
        write_number(&mut text, &float(x));
        for (min, max) in [(Some(low), Some(high)), (Some(low), None), (None, Some(high))] {
            let regex = whole_text(&range(&limits(min.map(float), max.map(float))).unwrap());
            let fits = min.is_none_or(|m| x >= m) && max.is_none_or(|m| x <= m);
            prop_assert_eq!(regex.is_match(&text), fits, "{} in {:?}..{:?}", text, min, max);
            prop_assert_eq!(regex.is_match(&format!("{text}00")), fits);
        }
    }
}

#[test]
fn whole_numbers_without_limits_are_those_of_64_bits() {
    let regex = whole_text(&whole(&Constraints::default()));
    for inside in ["0", "-1", "18446744073709551615", "-9223372036854775808", "9999999999999999999"]
    {
        assert!(regex.is_match(inside), "{inside}");
    }
    for outside in ["18446744073709551616", "-9223372036854775809", "01", "-0", "1.0", ""] {
        assert!(!regex.is_match(outside), "{outside}");
    }
}

#[test]
fn patterns_with_anchors_are_left_to_the_parser() {
    for good in ["[A-Z]+", "a|b", "(?:x){2}", "[^a]", r"\d{4}", r"a\$"] {
        assert!(is_expressible(good), "{good}");
    }
    for bad in ["^a", "a$", r"\bword\b", "(?i)a", "(?P<n>a)"] {
        assert!(!is_expressible(bad), "{bad}");
    }
}
