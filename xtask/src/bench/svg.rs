//! A chart of what was measured: text alone, in colours that can be read on white and on black.

use std::fmt::Write as _;

use super::report::Measured;

const SERIES: [(&str, &str); 3] =
    [("Shardflow", "#e8590c"), ("KPL for Java", "#4c7fd1"), ("floor", "#868e96")];
const TEXT: &str = "#7d848c";
/// Where the bars begin and end.
const LEFT: f64 = 110.0;
const RIGHT: f64 = 660.0;
const TOP: f64 = 66.0;
const BAR: f64 = 13.0;
const GROUP: f64 = 54.0;

/// Bars of CPU seconds for a million records on a logarithmic scale, three to a case.
pub(super) fn chart(measured: &[Measured]) -> String {
    let cases: Vec<_> = measured.iter().filter_map(|case| Some((case.name(), case.costs()?))).collect();
    let costs = || cases.iter().flat_map(|(_, costs)| costs.iter().flatten()).filter(|cost| **cost > 0.0);
    let least = costs().fold(f64::INFINITY, |least, cost| least.min(*cost));
    let most = costs().fold(0.0_f64, |most, cost| most.max(*cost));
    // From the decade below the least, so that its bar has a length, to the one above the most.
    let (first, last) = if costs().next().is_some() {
        ((least / 1.5).log10().floor(), most.log10().ceil())
    } else {
        (0.0, 1.0)
    };
    let x = |cost: f64| LEFT + (RIGHT - LEFT) * (cost.log10() - first) / (last - first).max(1.0);
    let bottom = TOP + GROUP * cases.len() as f64;

    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {}" font-family="sans-serif" font-size="12" fill="{TEXT}">"#,
        bottom + 34.0
    );
    svg.push_str("\n<title>CPU seconds for a million records</title>\n");
    svg.push_str("<text x=\"10\" y=\"20\" font-size=\"15\">CPU seconds for a million records</text>\n");
    let mut at = 10.0;
    for (name, colour) in SERIES {
        add(
            &mut svg,
            format_args!(r#"<rect x="{at}" y="34" width="12" height="12" rx="2" fill="{colour}"/>"#),
        );
        add(&mut svg, format_args!(r#"<text x="{}" y="44">{name}</text>"#, at + 18.0));
        at += 40.0 + 7.0 * name.len() as f64;
    }
    let mut decade = first;
    while decade <= last {
        let (at, label) = (x(10_f64.powf(decade)), number(10_f64.powf(decade)));
        let end = bottom + 2.0;
        add(
            &mut svg,
            format_args!(r#"<path d="M{at:.1} {TOP}V{end:.1}" stroke="{TEXT}" stroke-opacity="0.35"/>"#),
        );
        add(
            &mut svg,
            format_args!(r#"<text x="{at:.1}" y="{:.1}" text-anchor="middle">{label}</text>"#, bottom + 18.0),
        );
        decade += 1.0;
    }
    for (place, (name, costs)) in cases.iter().enumerate() {
        let top = TOP + 6.0 + GROUP * place as f64;
        add(
            &mut svg,
            format_args!(
                r#"<text x="{}" y="{:.1}" text-anchor="end">{name}</text>"#,
                LEFT - 10.0,
                top + BAR * 1.5 + 4.0
            ),
        );
        for ((cost, (_, colour)), n) in costs.iter().zip(SERIES).zip(0_u8..) {
            let Some(cost) = cost.filter(|cost| *cost > 0.0) else { continue };
            let (y, end) = (top + f64::from(n) * (BAR + 1.0), x(cost));
            add(
                &mut svg,
                format_args!(
                    r#"<rect x="{LEFT}" y="{y:.1}" width="{:.1}" height="{BAR}" rx="2" fill="{colour}"/>"#,
                    end - LEFT
                ),
            );
            add(
                &mut svg,
                format_args!(
                    r#"<text x="{:.1}" y="{:.1}" font-size="11">{}</text>"#,
                    end + 5.0,
                    y + BAR - 3.0,
                    number(cost)
                ),
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn add(svg: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(svg, "{line}").unwrap_or_else(|_| unreachable!("a string takes everything"));
}

/// Two significant digits or so.
fn number(number: f64) -> String {
    let digits = match number {
        number if number >= 9.95 => 0,
        number if number >= 0.995 => 1,
        _ => 2,
    };
    let text = format!("{number:.digits$}");
    let trimmed = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    trimmed.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let told = [0.01, 0.1, 0.354, 1.0, 1.26, 10.0, 23.4, 100.0].map(number);
        assert_eq!(told, ["0.01", "0.1", "0.35", "1", "1.3", "10", "23", "100"]);
    }

    #[test]
    fn a_chart_of_nothing_is_a_chart() {
        assert!(chart(&[]).ends_with("</svg>\n"));
    }
}
