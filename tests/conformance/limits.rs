use super::*;

pub async fn sizes_are_limited(room: &Room) {
    let create = |body: Value| {
        let api = room.services();
        async move { refused(api.create(&PostParams::default(), &object(body)).await) }
    };
    let mut noted = web("noted", [100, 0]);
    noted["metadata"]["annotations"] = json!({"a": "x".repeat(256 * 1024)});
    let (code, reason, message) = create(noted).await;
    assert_eq!((code, reason.as_str()), (422, "Invalid"), "{message}");
    let mut large = web("large", [100, 0]);
    large["spec"]["hosts"] = vec!["x".repeat(1000); 1700].into();
    assert_eq!(create(large).await.0, 500);
    let mut huge = web("huge", [100, 0]);
    huge["spec"]["hosts"] = vec!["x".repeat(1000); 3500].into();
    let (code, reason, _) = create(huge).await;
    assert_eq!((code, reason.as_str()), (413, "RequestEntityTooLarge"));
}
