//! Health and plans.

use oxivirt::report::PartKind;
use oxivirt::{ErrorCode, NetworkDriver as _, PlanVerb};

use crate::bench::{Bench, XML, check_error, define};

#[tokio::test]
async fn health_names_what_is_missing() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define(&driver).await;
    let health = driver.network_health(&net, 0).await.unwrap();
    assert!(!health.active && health.is_healthy() && health.parts.is_empty());
    driver.network_create(&net).await.unwrap();
    let health = driver.network_health(&net, 0).await.unwrap();
    assert!(health.active && health.is_healthy(), "{health:?}");
    assert_eq!((health.name.as_str(), health.uuid), ("default", net.uuid));
    let kinds: Vec<_> = health.parts.iter().map(|part| part.part.clone()).collect();
    use PartKind::{Address, Link, Process, Queue, Rules, Setting};
    let expect = [Link, Address, Setting, Rules, Queue, Process];
    assert_eq!(kinds, expect);
    bench.host.change(|state| {
        state.chains.clear();
        state.dnsmasq.clear();
    });
    let health = driver.network_health(&net, 0).await.unwrap();
    let missing: Vec<_> =
        health.parts.into_iter().filter(|part| !part.is_ok()).map(|part| part.part).collect();
    assert_eq!(missing, [Rules, Process]);
    check_error(
        driver.network_health(&net, 4).await,
        8,
        "unsupported flags (0x4) in function networkHealth",
    );
}

#[tokio::test]
async fn a_plan_is_refused_as_the_operation_would_be_and_changes_nothing() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define(&driver).await;
    let (files, before) = (bench.files(), bench.host.state());
    let plan = driver.network_plan(&net, PlanVerb::Start, None, 0).await.unwrap();
    assert_eq!(plan.network, "default");
    assert!(plan.steps.iter().any(|step| step.text == "create bridge virbr0"), "{plan:?}");
    let rules = plan.steps.iter().find(|step| step.kind == PartKind::Rules).unwrap();
    assert!(rules.lines.iter().any(|line| line.contains("masquerade")), "{rules:?}");
    let stop = driver.network_plan(&net, PlanVerb::Destroy, None, 0).await;
    check_error(stop, 55, "Requested operation is not valid: network 'default' is not active");
    assert_eq!((bench.files(), bench.host.state()), (files, before));

    driver.network_create(&net).await.unwrap();
    let before = bench.host.state();
    let plan = driver.network_plan(&net, PlanVerb::Destroy, None, 0).await.unwrap();
    assert!(plan.steps.iter().any(|step| step.text == "delete bridge virbr0"), "{plan:?}");
    let start = driver.network_plan(&net, PlanVerb::Start, None, 0).await;
    check_error(start, 55, "Requested operation is not valid: network is already active");
    let other = driver.network_plan(&net, PlanVerb::from_number(9), None, 0).await;
    check_error(other, 8, "invalid argument: unknown operation 9");
    assert_eq!(bench.host.state(), before);
}

#[tokio::test]
async fn a_plan_of_another_definition_shows_that_definition() {
    let bench = Bench::new();
    let driver = bench.open().await;
    let net = define(&driver).await;
    let other = XML.replace("virbr0", "virbr9");
    let plan = driver.network_plan(&net, PlanVerb::Start, Some(&other), 0).await.unwrap();
    assert!(plan.steps.iter().any(|step| step.text == "create bridge virbr9"), "{plan:?}");
    let broken = driver.network_plan(&net, PlanVerb::Start, Some("<network/>"), 0).await;
    assert_eq!(broken.unwrap_err().code(), ErrorCode::NO_NAME);
}
