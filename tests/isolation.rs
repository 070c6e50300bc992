//! Two workspaces: what belongs to one is, in the other, exactly as if it were not there.

mod requests;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::scim::{Answer, Scim, group, send, user};
use crate::harness::{Database, System, on_both};
use requests::{Request, all, naming};

/// Ids of the right form that nobody has.
const UNKNOWN_USER: &str = "01900000-0000-7000-8000-0000000000a1";
const UNKNOWN_GROUP: &str = "01900000-0000-7000-8000-0000000000b2";
/// A token of the right form that nobody has.
const UNKNOWN_TOKEN: &str = "rst_0000000000000_00000000000000000000000000000000000000000000000000";

/// The ids of a user and of a group.
struct Ids<'a> {
    user: &'a str,
    group: &'a str,
}

const UNKNOWN: Ids<'static> = Ids { user: UNKNOWN_USER, group: UNKNOWN_GROUP };

on_both!(a_foreign_id_is_answered_like_one_that_nobody_has);
async fn a_foreign_id_is_answered_like_one_that_nobody_has(database: Database) {
    let (system, globex) = two_workspaces(database).await;
    let (scim, theirs) = (system.scim(), Theirs::of(&globex).await);
    let foreign = theirs.ids();
    for (request, unknown) in all(&foreign).into_iter().zip(all(&UNKNOWN)) {
        let title = request.title();
        let (request, unknown) = (send(request.with(&scim)).await, send(unknown.with(&scim)).await);
        assert_eq!(seen(&request, &foreign), seen(&unknown, &UNKNOWN), "{title}");
    }
    theirs.assert_untouched(&globex).await;
}

#[tokio::test]
async fn an_own_id_is_answered_otherwise_or_the_comparison_would_prove_nothing() {
    let (_system, globex) = two_workspaces(Database::Sqlite).await;
    let theirs = Theirs::of(&globex).await;
    let own = theirs.ids();
    let mut telling = 0;
    for (request, unknown) in all(&own).into_iter().zip(all(&UNKNOWN)) {
        let (request, unknown) = (send(request.with(&globex)).await, send(unknown.with(&globex)).await);
        telling += usize::from(seen(&request, &own) != seen(&unknown, &UNKNOWN));
    }
    assert!(telling >= 10, "{telling} requests tell an id that is there from one that is not");
}

on_both!(a_foreign_id_in_a_resource_names_nobody);
async fn a_foreign_id_in_a_resource_names_nobody(database: Database) {
    let (system, globex) = two_workspaces(database).await;
    let (scim, theirs) = (system.scim(), Theirs::of(&globex).await);
    let foreign = theirs.ids();
    for (request, unknown) in naming(&foreign).into_iter().zip(naming(&UNKNOWN)) {
        let title = request.title();
        let (request, unknown) =
            (write_and_read(&scim, request, &foreign).await, write_and_read(&scim, unknown, &UNKNOWN).await);
        assert_eq!(request, unknown, "{title}");
    }
    theirs.assert_untouched(&globex).await;
}

on_both!(a_token_is_nobodys_in_another_workspace);
async fn a_token_is_nobodys_in_another_workspace(database: Database) {
    let (system, globex) = two_workspaces(database).await;
    let theirs = Theirs::of(&globex).await;
    let ids = theirs.ids();
    let nowhere = Scim::new(globex.base_url.replace("/globex", "/nowhere"), system.token());
    for index in 0..all(&ids).len() {
        let request = || all(&ids).swap_remove(index);
        let nobody = send(request().with(&globex.with_token(UNKNOWN_TOKEN))).await;
        assert_eq!(nobody.status, 401, "{}", request().title());
        for stranger in [globex.with_token(system.token()), nowhere.clone()] {
            let answer = send(request().with(&stranger)).await;
            assert_eq!(seen(&answer, &ids), seen(&nobody, &ids), "{}", request().title());
        }
    }
    theirs.assert_untouched(&globex).await;
}

/// `acme`, which is the system's, and `globex`; both have a user `ann` and a group `Team`.
async fn two_workspaces(database: Database) -> (System, Scim) {
    let system = System::start(database).await;
    let globex = system.enable("globex").await;
    for scim in [&system.scim(), &globex] {
        let ann = scim.post("/Users", &user("ann")).await.expect(201).id();
        scim.post("/Groups", &group("Team", &[&ann])).await.expect(201);
    }
    (system, globex)
}

/// All that a workspace holds, as it was at one moment.
struct Theirs {
    users: Value,
    groups: Value,
}

impl Theirs {
    async fn of(scim: &Scim) -> Self {
        let list = async |path| scim.get(path).await.expect(200).body;
        let (users, groups) = (list("/Users").await, list("/Groups").await);
        assert_eq!((&users["totalResults"], &groups["totalResults"]), (&json!(1), &json!(1)));
        Self { users, groups }
    }

    fn ids(&self) -> Ids<'_> {
        let [user, group] = [&self.users, &self.groups].map(|list| list["Resources"][0]["id"].as_str().unwrap());
        Ids { user, group }
    }

    async fn assert_untouched(&self, scim: &Scim) {
        let now = Self::of(scim).await;
        assert_eq!((&now.users, &now.groups), (&self.users, &self.groups));
    }
}

/// An answer, with the ids that the request named replaced: status, header fields but the time, and body, byte for byte.
fn seen(answer: &Answer, ids: &Ids<'_>) -> (u16, Vec<String>, String) {
    let masked = |text: &str| text.replace(ids.user, "USER").replace(ids.group, "GROUP");
    let fields = answer.headers.iter().filter(|(name, _)| *name != "date");
    let mut fields: Vec<String> =
        fields.map(|(name, value)| masked(&format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))).collect();
    fields.sort_unstable();
    (answer.status, fields, masked(&answer.text))
}

/// What a write that names ids answers and leaves behind, less what differs from one resource to the next.
async fn write_and_read(scim: &Scim, request: Request, ids: &Ids<'_>) -> (u16, String, String) {
    let body = user("carrier");
    let carrier = scim.post("/Users", &body).await.expect(201).id();
    let crew = scim.post("/Groups", &group("Crew", &[])).await.expect(201).id();
    let request = request.on(&carrier, &crew);
    let written = send(request.with(scim)).await;
    let created = if request.method == Method::POST { vec![written.id()] } else { vec![] };
    let path = match created.first() {
        Some(id) => format!("{}/{id}", request.path),
        None => request.path.clone(),
    };
    let read = scim.get(&path).await.expect(200);
    scim.delete(&path).await.expect(204);
    for left in [format!("/Users/{carrier}"), format!("/Groups/{crew}")] {
        scim.delete(&left).await;
    }
    let own: Vec<String> = created.into_iter().chain([carrier, crew]).collect();
    (written.status, comparable(&written.body, ids, &own), comparable(&read.body, ids, &own))
}

fn comparable(resource: &Value, ids: &Ids<'_>, own: &[String]) -> String {
    let mut resource = resource.clone();
    if let Some(meta) = resource.get_mut("meta").and_then(Value::as_object_mut) {
        meta.remove("created");
        meta.remove("lastModified");
    }
    let text = resource.to_string().replace(ids.user, "USER").replace(ids.group, "GROUP");
    own.iter().fold(text, |text, id| text.replace(id, "OWN"))
}
