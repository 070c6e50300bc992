//! Walks by cursor come by what pages by index show, in the same order, whatever is asked for and in whatever steps.

use futures::{StreamExt, stream};
use protocol::id::ResourceId;
use protocol::message::query::{ListResources, ResourcePage};
use protocol::scim::cursor::{CursorCodec, Position, SortKey};
use protocol::scim::filter::TypeFilter;
use protocol::scim::list::{Include, Page, Paging};
use protocol::scim::resource_type::ResourceType;
use protocol::scim::sort::Sort;
use serde_json::json;

use super::dice::Dice;
use super::population::{self, BASE_URL, extensions};
use super::{AT_A_TIME, Known, known, question};
use crate::log::{Log, new_user_with, user};
use crate::test_database::{TestDatabase, on_both, statuses};

const SEED: u64 = 9865;
const WALKS: usize = 200;

/// What a list is asked for, but for its part.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) lists: Vec<TypeFilter>,
    pub(crate) sort: Option<Sort>,
}

/// A page: how many there are, those on it, and after which one the next page is.
pub(crate) type Found = (u64, Vec<ResourceId>, Option<Position>);

impl Asked {
    fn by_chance(dice: &mut Dice, known: &[Vec<Known>]) -> Self {
        let kinds = dice.pick(&[&[ResourceType::User][..], &[ResourceType::Group], &ResourceType::ALL]).to_vec();
        let mut filter = |kind: ResourceType| {
            let all = dice.one_in(3);
            let known = &known[usize::from(kind == ResourceType::Group)];
            (!all).then(|| question::of(dice, kind, known).1)
        };
        let lists = kinds.iter().map(|kind| TypeFilter { resource_type: *kind, filter: filter(*kind) }).collect();
        let by = question::sortable(*dice.pick(&kinds));
        let order = *dice.pick(&["ascending", "descending"]);
        let sort = Sort::parse(&extensions(), &kinds, &dice.pick(&by).to_string(), Some(order)).unwrap();
        Self { lists, sort: (!dice.one_in(5)).then_some(sort) }
    }

    pub(crate) async fn page(&self, db: &TestDatabase, paging: Paging) -> Found {
        let Self { lists, sort } = self.clone();
        let query = ListResources { lists, base_url: BASE_URL.to_owned(), sort, paging, joined: Include::NONE };
        // As it comes from an ingress.
        let query: ListResources = serde_json::from_slice(&serde_json::to_vec(&query).unwrap()).unwrap();
        let ResourcePage { total, resources, next } = db.ask("acme", query).await;
        (total, resources.iter().map(|one| one.id).collect(), next)
    }

    /// The whole list, page by page; each cursor as text and back.
    async fn walk(&self, db: &TestDatabase, count: i64) -> Vec<ResourceId> {
        let cursors = CursorCodec::of(&self.lists, self.sort.as_ref());
        let (mut all, mut after, mut counted) = (Vec::new(), None, None);
        loop {
            let (total, page, next) = self.page(db, Paging::cursor(after, Some(count))).await;
            assert_eq!(*counted.get_or_insert(total), total);
            let full = i64::try_from(page.len()).unwrap() == count;
            assert!(full || next.is_none(), "{} of {count}", page.len());
            all.extend(page);
            match next {
                Some(position) => after = Some(cursors.read(&cursors.write(&position)).unwrap()),
                None => break,
            }
        }
        assert_eq!(counted, u64::try_from(all.len()).ok());
        all
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walk_shows_what_pages_by_index_show() {
    on_both(async |db| {
        population::fill(db).await;
        let known = [known(db, ResourceType::User).await, known(db, ResourceType::Group).await];
        let mut dice = Dice::of(SEED);
        let walks: Vec<_> = (0..WALKS).map(|_| (Asked::by_chance(&mut dice, &known), 1 + dice.below(7))).collect();
        let found = stream::iter(&walks).map(async |(asked, count)| {
            let (total, whole, next) = asked.page(db, Paging::Index(Page::new(None, None))).await;
            assert_eq!((u64::try_from(whole.len()).unwrap(), next), (total, None));
            let walked = asked.walk(db, i64::try_from(*count).unwrap()).await;
            assert_eq!(walked, whole, "PostgreSQL: {}, {count} at a time: {asked:?}", db.is_postgres());
            whole.len()
        });
        let found: Vec<usize> = found.buffer_unordered(AT_A_TIME).collect().await;
        assert!(found.iter().filter(|found| **found > 3).count() > WALKS / 3, "most walks should be of several pages");
    })
    .await;
}

#[tokio::test]
async fn texts_that_begin_alike_come_by_id_however_long_they_are() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let beginning = "\u{1f600}".repeat(SortKey::MAX_CHARACTERS);
        let titles = [format!("{beginning}b"), format!("{beginning}a"), "z".repeat(5_000), beginning.clone()];
        let people = (0..)
            .zip(&titles)
            .map(|(n, title)| log.user(n, new_user_with(json!({ "userName": format!("user{n}"), "title": title }))));
        assert!(statuses(&db.apply(&people.collect::<Vec<_>>()).await).iter().all(|status| *status == 201));
        for (order, expected) in [("ascending", [2, 0, 1, 3]), ("descending", [0, 1, 3, 2])] {
            let sort = Sort::parse(&extensions(), &[ResourceType::User], "title", Some(order)).unwrap();
            let lists = vec![TypeFilter { resource_type: ResourceType::User, filter: None }];
            let asked = Asked { lists, sort: Some(sort) };
            assert_eq!(asked.walk(db, 1).await, expected.map(user), "{order}");
            assert_eq!(asked.page(db, Paging::Index(Page::new(None, None))).await.1, expected.map(user), "{order}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_walk_that_asks_for_nobody_is_told_how_many_there_are() {
    on_both(async |db| {
        population::fill(db).await;
        let lists = ResourceType::ALL.map(|resource_type| TypeFilter { resource_type, filter: None }).to_vec();
        let asked = Asked { lists, sort: None };
        let everybody = u64::try_from(population::USERS + population::GROUPS).unwrap();
        assert_eq!(asked.page(db, Paging::cursor(None, Some(0))).await, (everybody, vec![], None));
    })
    .await;
}
