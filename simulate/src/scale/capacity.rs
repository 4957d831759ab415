//! DynamoDB's throughput: what each partition of a table and of an index can take.

use std::collections::BTreeMap;

/// The write units that a partition takes in a second.
const WRITES: f64 = 1000.0;
/// The read units that a partition takes in a second.
const READS: f64 = 3000.0;

/// What passes through the partitions.
#[derive(Default)]
pub struct Capacity {
    partitions: BTreeMap<String, Partition>,
    /// How many requests were throttled, by the kind of the partition.
    pub throttled: BTreeMap<String, u64>,
}

/// A partition's remaining units. A second's worth can be saved: DynamoDB promises no more.
struct Partition {
    writes: f64,
    reads: f64,
    at: i64,
    /// The units written in the current second, and the most in any.
    second: (i64, f64),
    busiest: f64,
    written: f64,
    read: f64,
}

/// The work of the partitions of one kind.
pub struct KindOfPartition {
    pub kind: String,
    pub partitions: usize,
    pub written: f64,
    pub read: f64,
    /// The most units that were written to one of them in one second.
    pub busiest: f64,
    pub throttled: u64,
}

impl Capacity {
    /// Whether all of these partitions can take another write, in milliseconds since the start.
    pub fn admits(&mut self, partitions: &[String], at: i64) -> bool {
        let full = partitions.iter().find(|partition| self.partition(partition, at).writes <= 0.0);
        match full {
            Some(partition) => {
                *self.throttled.entry(kind_of(partition)).or_default() += 1;
                false
            }
            None => true,
        }
    }

    /// Whether this partition can answer another read.
    pub fn admits_read(&mut self, partition: &str, at: i64) -> bool {
        let admits = self.partition(partition, at).reads > 0.0;
        if !admits {
            *self.throttled.entry(kind_of(partition)).or_default() += 1;
        }
        admits
    }

    pub fn wrote(&mut self, partition: &str, units: f64, at: i64) {
        let partition = self.partition(partition, at);
        partition.writes -= units;
        partition.written += units;
        let second = at / 1000;
        partition.second =
            if partition.second.0 == second { (second, partition.second.1 + units) } else { (second, units) };
        partition.busiest = partition.busiest.max(partition.second.1);
    }

    pub fn read(&mut self, partition: &str, units: f64, at: i64) {
        let partition = self.partition(partition, at);
        partition.reads -= units;
        partition.read += units;
    }

    /// What was done, by kind of partition.
    pub fn by_kind(&self) -> Vec<KindOfPartition> {
        let mut kinds: BTreeMap<String, KindOfPartition> = BTreeMap::new();
        for (name, partition) in &self.partitions {
            let kind = kind_of(name);
            let of = kinds.entry(kind.clone()).or_insert_with(|| KindOfPartition {
                throttled: self.throttled.get(&kind).copied().unwrap_or(0),
                kind,
                partitions: 0,
                written: 0.0,
                read: 0.0,
                busiest: 0.0,
            });
            of.partitions += 1;
            of.written += partition.written;
            of.read += partition.read;
            of.busiest = of.busiest.max(partition.busiest);
        }
        kinds.into_values().collect()
    }

    fn partition(&mut self, name: &str, at: i64) -> &mut Partition {
        let full =
            Partition { writes: WRITES, reads: READS, at, second: (0, 0.0), busiest: 0.0, written: 0.0, read: 0.0 };
        let partition = self.partitions.entry(name.to_owned()).or_insert(full);
        #[allow(clippy::cast_precision_loss)] // seconds of a simulation
        let passed = (at - partition.at).max(0) as f64 / 1000.0;
        partition.writes = (partition.writes + passed * WRITES).min(WRITES);
        partition.reads = (partition.reads + passed * READS).min(READS);
        partition.at = at;
        partition
    }
}

/// The kind of a partition: its name without numbers, names of Functions and ids.
fn kind_of(partition: &str) -> String {
    let (table, key) = partition.split_once('/').unwrap_or((partition, ""));
    let key: &str = match key.split(['#', ':']).next().unwrap_or(key) {
        _ if table.ends_with(".function") => "<function>",
        day if day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit()) => "<day>",
        "slots" if key.contains('#') => "slots, a part",
        key => key,
    };
    format!("{table}/{key}")
}
