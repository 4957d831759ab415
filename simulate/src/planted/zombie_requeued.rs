//! A Task whose runner died runs again.

use serde_json::{Value, json};

use super::seams::{Bug, Seams};
use crate::request::{sets_status, value};

pub const BUG: Bug = Bug::new("zombie-requeued", &ZombieRequeued);

struct ZombieRequeued;

impl Seams for ZombieRequeued {
    fn rewrite_request(&self, _: &str, body: &mut Value, _: i64) {
        let is_zombie = |error: &str| error.contains("zombieTaskCleaned");
        if !sets_status(body, "failed") || !value(body, ":set_error").is_some_and(is_zombie) {
            return;
        }
        let lane = value(body, ":set_lane").unwrap_or_default();
        let shard = lane.split_once('#').map_or("0", |(_, shard)| shard).to_owned();
        let place = value(body, ":set_laneKey").unwrap_or_default().to_owned();
        let values = &mut body["ExpressionAttributeValues"];
        values[":set_status"]["S"] = json!("new");
        values[":set_lane"]["S"] = json!(format!("ready#{shard}"));
        values[":set_laneKey"]["S"] = json!(format!("{:017}.{place}", 9_007_199_254_740_991_i64));
    }
}
