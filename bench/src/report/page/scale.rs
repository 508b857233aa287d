//! Scales: from values to positions on an axis.

/// An axis from a least to a greatest value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    least: f64,
    most: f64,
    logarithmic: bool,
}

/// With fewer decades than this on a logarithmic axis, it would have only one number.
const DECADES_MIN: f64 = 1.0;

impl Scale {
    /// Creates an axis from zero to a round number that is not below any of these.
    pub(super) fn from_zero(values: impl Iterator<Item = f64>) -> Self {
        let most = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        let step = round_step(most.max(1e-9) / 4.0);
        Self { least: 0.0, most: (most.max(1e-9) / step).ceil() * step, logarithmic: false }
    }

    /// Creates an axis between these.
    pub(super) const fn between(least: f64, most: f64) -> Self {
        Self { least, most, logarithmic: false }
    }

    /// Creates an axis between powers of ten around these; values not above zero do not count.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>) -> Self {
        let good = values.filter(|value| value.is_finite() && *value > 0.0);
        let (least, most) = good.fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(v), b.max(v)));
        let (least, most) = if least > most { (1.0, 10.0) } else { (least, most) };
        let from = least.log10().floor();
        let to = most.log10().ceil().max(from + DECADES_MIN);
        Self { least: 10f64.powf(from), most: 10f64.powf(to), logarithmic: true }
    }

    /// Returns where a value is: 0 at the beginning of the axis, 1 at its end.
    pub(super) fn place(self, value: f64) -> f64 {
        let Self { least, most, logarithmic } = self;
        let place = if logarithmic {
            (value.max(least) / least).log10() / (most / least).log10()
        } else {
            (value - least) / (most - least).max(1e-12)
        };
        place.clamp(0.0, 1.0)
    }

    /// Returns the values that are written on it.
    pub(super) fn ticks(self) -> Vec<f64> {
        let Self { least, most, logarithmic } = self;
        if logarithmic {
            let decades = (most / least).log10().round() as i32;
            if decades <= 2 {
                let steps = [1.0, 2.0, 5.0].map(|step| step * least);
                let of = |n| steps.map(|step| step * 10f64.powi(n));
                return (0..decades).flat_map(of).chain([most]).collect();
            }
            let every = (decades / 6 + 1) as usize;
            return (0..=decades).step_by(every).map(|n| least * 10f64.powi(n)).collect();
        }
        let step = round_step((most - least) / 4.0);
        let first = (least / step).ceil() as i64;
        (0..12).map(|n| (first + n) as f64 * step).take_while(|v| *v <= most * 1.000_001).collect()
    }
}

/// Returns 1, 2 or 5 times a power of ten, not below this.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.max(1e-12).log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let fits = factors.into_iter().find(|factor| factor * power >= step * 0.999_999);
    fits.unwrap_or(10.0) * power
}

/// Returns a number in the space that an axis has: `0`, `0.5`, `120`, `1.5k`, `2M`.
pub(super) fn short(value: f64) -> String {
    let (amount, unit) = match value.abs() {
        v if v >= 999_500.0 => (value / 1e6, "M"),
        v if v >= 999.5 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = match amount.abs() {
        a if a >= 99.5 || a == 0.0 => 0,
        a if a >= 9.95 => 1,
        a if a >= 0.1 => 2,
        _ => 3,
    };
    let text = format!("{amount:.digits$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        let scale = Scale::from_zero([3.0, 87.0].into_iter());
        assert_eq!(scale.ticks(), [0.0, 50.0, 100.0]);
        assert_eq!((scale.place(0.0), scale.place(50.0), scale.place(500.0)), (0.0, 0.5, 1.0));
        let scale = Scale::logarithmic([0.0, 3.0, 870.0].into_iter());
        assert_eq!(scale.ticks().len(), 4);
        assert!((scale.place(10.0) - 1.0 / 3.0).abs() < 1e-9);
        assert_eq!(scale.place(0.0), 0.0);
        for empty in [Scale::from_zero([].into_iter()), Scale::logarithmic([].into_iter())] {
            assert!(empty.place(5.0).is_finite() && !empty.ticks().is_empty());
        }
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 0.05, 0.5, 12.34, 120.0, 1500.0, 87_654.0, 2e6].map(short);
        assert_eq!(shown, ["0", "0.05", "0.5", "12.3", "120", "1.5k", "87.7k", "2M"]);
    }
}
