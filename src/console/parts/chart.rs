//! Charts, as SVG that is made here: no script draws anything.

use maud::{Markup, html};
use tasklane_model::{Attempt, TaskStatus, Timestamp};

use super::text::shown;

/// One column of a chart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bar {
    pub(crate) at: Timestamp,
    pub(crate) value: f64,
}

const HEIGHT: f64 = 44.0;
const WIDTH: f64 = 100.0;

/// A small chart of columns. `summary` says the same in words.
pub(crate) fn chart(class: &str, title: &str, figure: &str, summary: &str, bars: &[Bar]) -> Markup {
    let most = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let ends = bars.first().zip(bars.last());
    html! {
        figure class={ "chart " (class) } {
            figcaption { span { (title) } strong { (figure) } }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label={ (title) ": " (summary) } {
                line.base x1="0" x2=(WIDTH) y1=(HEIGHT - 0.5) y2=(HEIGHT - 0.5) {}
                @for column in columns(bars, most) { (column) }
            }
            @if let Some((first, last)) = ends {
                p.axis {
                    time datetime=(first.at) data-short="" { (hour(first.at)) }
                    time datetime=(last.at) data-short="" { (hour(last.at)) }
                }
            }
        }
    }
}

#[allow(clippy::cast_precision_loss)] // at most some hundred columns
fn columns(bars: &[Bar], most: f64) -> impl Iterator<Item = Markup> {
    let step = WIDTH / bars.len().max(1) as f64;
    let drawn = bars.iter().enumerate().filter(move |(_, bar)| bar.value > 0.0 && most > 0.0);
    drawn.map(move |(at, bar)| {
        // Something is more than nothing, however much there is elsewhere.
        let height = (bar.value / most * (HEIGHT - 3.0)).max(1.5);
        let x = at as f64 * step;
        html! {
            rect x=(format!("{x:.2}")) y=(format!("{:.2}", HEIGHT - height)) width=(format!("{:.2}", step * 0.8)) height=(format!("{height:.2}")) {
            }
        }
    })
}

fn hour(at: Timestamp) -> String {
    shown(at).get(11..16).unwrap_or_default().to_owned()
}

/// How much of something is in use.
pub(crate) fn meter(label: &str, used: u64, limit: u64) -> Markup {
    let part = used.saturating_mul(100).checked_div(limit).unwrap_or(0).min(100);
    html! {
        svg.meter viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label={ (label) ": " (used) " of " (limit) } {
            rect.all width="100" height="4" rx="1" {}
            rect.used.full[used >= limit] width=(part) height="4" rx="1" {}
        }
    }
}

/// How much of something is done.
pub(crate) fn progress(done: u64, all: u64) -> Markup {
    let part = done.saturating_mul(100).checked_div(all).unwrap_or(0).min(100);
    html! {
        svg.meter viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label={ "Progress: " (done) " of " (all) } {
            rect.all width="100" height="4" rx="1" {}
            rect.used width=(part) height="4" rx="1" {}
        }
    }
}

/// Where an attempt lies in the time of its whole chain: waiting until it was due, waiting for its turn, running.
#[allow(clippy::cast_precision_loss)] // milliseconds of some years
pub(crate) fn time_line(attempt: &Attempt, from: Timestamp, to: Timestamp, now: Timestamp) -> Markup {
    let whole = (to.as_millis() - from.as_millis()).max(1) as f64;
    let place = |at: Timestamp| ((at.as_millis() - from.as_millis()) as f64 / whole * 1000.0).clamp(0.0, 1000.0);
    let end = attempt.ended_timestamp.unwrap_or(now);
    let due = attempt.start_timestamp.max(attempt.creation_timestamp).min(end);
    let claimed = attempt.claimed_timestamp.unwrap_or(end).min(end);
    let bar = |class: &str, from: Timestamp, to: Timestamp, least: f64| {
        let (x, width) = (place(from).min(1000.0 - least), (place(to) - place(from)).max(least));
        html! {
            rect class=(class) x=(format!("{x:.1}")) y=(if class == "run" { "2" } else { "7" }) width=(format!("{width:.1}")) height=(if class == "run" { "12" } else { "2" }) {
            }
        }
    };
    let run = match attempt.status {
        TaskStatus::Failed | TaskStatus::Retried => "bad",
        TaskStatus::Canceled => "off",
        TaskStatus::New | TaskStatus::InProgress | TaskStatus::Complete => "good",
    };
    html! {
        svg class={ "line " (run) } viewBox="0 0 1000 16" preserveAspectRatio="none" aria-hidden="true" {
            @if due > attempt.creation_timestamp { (bar("wait", attempt.creation_timestamp, due, 1.0)) }
            @if claimed > due { (bar("queue", due, claimed, 1.0)) }
            @if attempt.claimed_timestamp.is_some() { (bar("run", claimed, end, 6.0)) }
        }
    }
}
