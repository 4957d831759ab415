use serde_json::json;

use super::harness::World;

#[tokio::test(flavor = "multi_thread")]
async fn smoke() {
    let world = World::new();
    let f = world.node("let n = 0; exports.handler = async (event, ctx) => { console.log('hi', event); return { n: ++n, event, left: ctx.getRemainingTimeInMillis(), ctx }; };").await;
    for _ in 0..3 {
        let ran = world.run(&f, json!({"a": 1})).await;
        println!("{:#}\n{}", ran.returned(), ran.log.join("\n"));
    }
    let f = world.python("import logging\ndef handler(event, ctx):\n    print('hi')\n    logging.error('x\\ny')\n    return event['b']\n").await;
    for event in [json!({"b": 1}), json!({})] {
        let ran = world.run(&f, event).await;
        println!("{:?}\n{}", ran.result, ran.log.join("\n"));
    }
}
