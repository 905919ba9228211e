//! What `SciPy` 1.17.1 says of the same samples: `golden.json`, made by `golden.py` beside it.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Case {
    name: String,
    first: Vec<f64>,
    second: Vec<f64>,
    u: f64,
    p: f64,
    exact: bool,
    shift: f64,
    interval: [f64; 2],
    /// The standard deviation of the resampled shifts.
    deviation: f64,
}

#[test]
fn scipy_says_the_same() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../golden.json")).unwrap();
    assert_eq!(cases.len(), 12);
    for case in cases {
        let test = tested(&case.first, &case.second);
        assert_eq!((test.u, test.exact), (case.u, case.exact), "{}", case.name);
        close(test.p, case.p, 1e-9);
        close(test.shift, case.shift, 1e-9);
        // The resamples are others. The 2.5 % quantile of 10,000 of a normal distribution has a standard error of 0.027 deviations
        // (sqrt(p (1 - p) / 10,000) over the density there), and SciPy's has the same: five of both together.
        let noise = 5.0 * std::f64::consts::SQRT_2 * 0.027 * case.deviation;
        for (is, wanted) in [(test.interval.0, case.interval[0]), (test.interval.1, case.interval[1])] {
            assert!(
                (is - wanted).abs() <= noise + 1e-9 * wanted.abs(),
                "{}: {is} is not {wanted} within {noise}",
                case.name
            );
        }
    }
}
