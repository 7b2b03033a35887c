//! Metrics in packets of lines, as statsd, statsite and dogstatsd take them. A counter tells its increase since the
//! last time; an increase that a receiver did not take is told the next time.

use std::fmt::Write as _;
use std::ops::Range;

use planescape_agent_contract::{Receiver, Telemetry};

/// The longest packet that no network cuts in two.
const LONGEST: usize = 1_432;

/// A counter or a gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name without the prefix of all names.
    pub name: &'static str,
    /// The count since the start, or the measure now.
    pub value: u64,
    /// Whether it is a gauge.
    pub is_gauge: bool,
}

/// The metrics as one receiver has been told them.
#[derive(Debug)]
pub struct Pushed {
    prefix: String,
    /// The machine's name, for gauges.
    host: Option<String>,
    /// The tags at the end of each line of dogstatsd; `None` for other receivers.
    tags: Option<String>,
    told: Vec<Option<u64>>,
}

impl Pushed {
    /// Nothing yet; `host` is the machine's name.
    #[must_use]
    pub fn new(telemetry: &Telemetry, receiver: &Receiver, host: &str) -> Self {
        let tags = match receiver {
            Receiver::Statsd(_) | Receiver::Statsite(_) => None,
            Receiver::Dogstatsd { tags, .. } if tags.is_empty() => Some(String::new()),
            Receiver::Dogstatsd { tags, .. } => {
                Some(format!("|#{}", tags.join(",")).replace('\n', ""))
            }
        };
        // Datadog knows the machine.
        let has_host = telemetry.names_host && tags.is_none() && !host.is_empty();
        Self {
            prefix: telemetry.prefix.clone(),
            host: has_host.then(|| host.to_owned()),
            tags,
            told: Vec::new(),
        }
    }

    /// Makes packets of what is new until one of them is not taken. `metrics` are the same each time.
    ///
    /// Says whether all were taken.
    pub fn tell(&mut self, metrics: &[Metric], mut take: impl FnMut(&str) -> bool) -> bool {
        self.told.resize(metrics.len(), None);
        let mut packet = String::new();
        let mut first = 0;
        for (index, metric) in metrics.iter().enumerate() {
            let line = self.line(metric, self.told[index]);
            if !packet.is_empty() && packet.len() + line.len() > LONGEST {
                if !take(self.ended(&packet)) {
                    return false;
                }
                self.know(metrics, first..index);
                packet.clear();
                first = index;
            }
            packet.push_str(&line);
        }
        if !packet.is_empty() && !take(self.ended(&packet)) {
            return false;
        }
        self.know(metrics, first..metrics.len());
        true
    }

    /// Line feeds end lines of statsd, and separate those of dogstatsd.
    fn ended<'a>(&self, packet: &'a str) -> &'a str {
        match self.tags {
            None => packet,
            Some(_) => packet.trim_end_matches('\n'),
        }
    }

    fn know(&mut self, metrics: &[Metric], which: Range<usize>) {
        for index in which {
            self.told[index] = Some(metrics[index].value);
        }
    }

    /// The line of a metric; empty where there is nothing new.
    fn line(&self, metric: &Metric, told: Option<u64>) -> String {
        let value = if metric.is_gauge {
            Some(metric.value).filter(|value| told != Some(*value))
        } else {
            let new = metric.value.saturating_sub(told.unwrap_or(0));
            Some(new).filter(|new| *new > 0)
        };
        let Some(value) = value else {
            return String::new();
        };
        let host = self.host.as_deref().filter(|_| metric.is_gauge);
        let host = host.map_or_else(String::new, |host| format!("{host}."));
        let mut line = format!("{}.{host}{}", self.prefix, metric.name).replace([':', ' '], "_");
        let kind = if metric.is_gauge { 'g' } else { 'c' };
        // Writing into memory cannot fail.
        let _ = match &self.tags {
            None => writeln!(line, ":{value}.000000|{kind}"),
            Some(tags) => writeln!(line, ":{value}|{kind}{tags}"),
        };
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(receiver: &Receiver) -> Pushed {
        let telemetry = Telemetry {
            prefix: "my team".to_owned(),
            names_host: true,
            ..Telemetry::default()
        };
        Pushed::new(&telemetry, receiver, "host-1")
    }

    fn metrics(logins: u64, is_there: u64) -> [Metric; 2] {
        [
            Metric {
                name: "agent.auth.success",
                value: logins,
                is_gauge: false,
            },
            Metric {
                name: "agent.authenticated",
                value: is_there,
                is_gauge: true,
            },
        ]
    }

    /// The packets, and whether all were taken.
    fn told(pushed: &mut Pushed, metrics: &[Metric], is_taken: bool) -> (Vec<String>, bool) {
        let mut packets = Vec::new();
        let are_taken = pushed.tell(metrics, |packet| {
            packets.push(packet.to_owned());
            is_taken
        });
        (packets, are_taken)
    }

    #[test]
    fn statsd_gets_what_came_since_and_gauges_that_changed() {
        let mut pushed = pushed(&Receiver::Statsd("s:8125".to_owned()));
        let gauge = "my_team.host-1.agent.authenticated";
        let counter = "my_team.agent.auth.success";

        let begin = told(&mut pushed, &metrics(0, 0), true).0;
        let login = told(&mut pushed, &metrics(1, 1), true).0;
        let quiet = told(&mut pushed, &metrics(1, 1), true).0;
        let later = told(&mut pushed, &metrics(4, 1), true).0;

        assert_eq!(begin, [format!("{gauge}:0.000000|g\n")]);
        assert_eq!(
            login,
            [format!("{counter}:1.000000|c\n{gauge}:1.000000|g\n")]
        );
        assert!(quiet.is_empty(), "{quiet:?}");
        assert_eq!(later, [format!("{counter}:3.000000|c\n")]);
    }

    #[test]
    fn dogstatsd_gets_tags_and_no_machine() {
        let mut pushed = pushed(&Receiver::Dogstatsd {
            address: "d:8125".to_owned(),
            tags: vec!["team:a".to_owned(), "b".to_owned()],
        });

        let (packets, _) = told(&mut pushed, &metrics(2, 1), true);

        let lines =
            "my_team.agent.auth.success:2|c|#team:a,b\nmy_team.agent.authenticated:1|g|#team:a,b";
        assert_eq!(packets, [lines]);
    }

    #[test]
    fn the_machine_is_named_where_that_is_wanted_and_it_has_a_name() {
        let statsd = Receiver::Statsd("s:8125".to_owned());
        for (names_host, host, start) in [
            (true, "host-1", "vault.host-1.agent"),
            (false, "host-1", "vault.agent"),
            (true, "", "vault.agent"),
        ] {
            let telemetry = Telemetry {
                names_host,
                ..Telemetry::default()
            };
            let mut pushed = Pushed::new(&telemetry, &statsd, host);

            let (packets, _) = told(&mut pushed, &metrics(0, 1), true);

            assert!(packets[0].starts_with(start), "{packets:?}");
        }
    }

    #[test]
    fn dogstatsd_without_tags_gets_none() {
        let mut pushed = pushed(&Receiver::Dogstatsd {
            address: "d:8125".to_owned(),
            tags: Vec::new(),
        });

        let (packets, _) = told(&mut pushed, &metrics(2, 0), true);

        let lines = "my_team.agent.auth.success:2|c\nmy_team.agent.authenticated:0|g";
        assert_eq!(packets, [lines]);
    }

    #[test]
    fn a_packet_is_full_and_not_more() {
        // Both lines together have 70 characters beside the prefix of each.
        for (prefix, expected) in [(681, 1), (682, 2)] {
            let telemetry = Telemetry {
                prefix: "p".repeat(prefix),
                names_host: true,
                ..Telemetry::default()
            };
            let statsd = Receiver::Statsd("s:8125".to_owned());
            let mut pushed = Pushed::new(&telemetry, &statsd, "host-1");

            let (packets, _) = told(&mut pushed, &metrics(2, 1), true);

            let lengths: Vec<usize> = packets.iter().map(String::len).collect();
            assert_eq!(lengths.len(), expected, "{lengths:?}");
            assert_eq!(lengths.iter().sum::<usize>(), 2 * prefix + 70);
        }
    }

    #[test]
    fn what_was_not_taken_is_told_the_next_time() {
        let mut pushed = pushed(&Receiver::Statsite("s:8125".to_owned()));

        let (lost, are_taken) = told(&mut pushed, &metrics(2, 1), false);
        let (again, _) = told(&mut pushed, &metrics(2, 1), true);

        assert!(!are_taken);
        assert_eq!(lost, again);
    }

    #[test]
    fn packets_fit_and_each_counts_for_itself() {
        let mut pushed = pushed(&Receiver::Dogstatsd {
            address: "d:8125".to_owned(),
            tags: vec!["t".repeat(700)],
        });
        let mut packets = Vec::new();

        let are_taken = pushed.tell(&metrics(2, 1), |packet| {
            packets.push(packet.to_owned());
            packets.len() < 2
        });
        let (again, _) = told(&mut pushed, &metrics(2, 1), true);

        assert!(!are_taken);
        assert_eq!(packets.len(), 2);
        assert!(packets.iter().all(|it| it.len() <= LONGEST), "{packets:?}");
        assert_eq!(again, packets[1..]);
    }
}
