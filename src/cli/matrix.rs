//! `tidegate status -o matrix`: a row for each plan, a column for each cluster, and why the plan stands there.
//!
//! What is many is folded, so that what stands out can be seen: of many clusters those that stand alike in every plan share
//! a column, of many plans those that stand alike in every cluster share a row.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::{
    picture::{Item, Picture, Site, Why},
    terminal,
};

/// So many clusters have a column each, however alike they stand.
const COLUMNS_APART: usize = 8;
/// More columns than this are not shown; those that have least to tell go first.
const COLUMNS_MAX: usize = 20;
/// So many plans have a row each.
const ROWS_APART: usize = 30;
/// Characters of a plan's name, of a cluster's, of one of many clusters', and of a sentence.
const PLAN_CHARS: usize = 40;
const CLUSTER_CHARS: usize = 24;
const CLUSTER_CHARS_OF_MANY: usize = 8;
const SENTENCE_CHARS: usize = 100;

/// The plan is not for the cluster.
const NOT_FOR_IT: &str = "-";
/// The cluster does not answer.
const AWAY: char = '?';
/// The cluster holds the plan up.
const HOLDS_UP: char = '!';
const SETTLED: &str = "settled";

/// The matrix of all plans, and a legend of those marks in it that do not speak for themselves.
pub(super) fn of(picture: &Picture) -> String {
    if picture.plans.is_empty() {
        return picture.nothing();
    }
    let clusters = clusters(picture);
    let rows = rows(picture, &clusters);
    let columns = columns(&clusters, &rows);
    let hidden: usize = columns.iter().skip(COLUMNS_MAX).map(|column| column.clusters.len()).sum();
    let mut columns: Vec<Column<'_>> = columns.into_iter().take(COLUMNS_MAX).collect();
    columns.sort_by_key(|column| column.place);
    let rows = folded(rows, &columns);
    let mut text = drawn(&columns, &rows);
    if hidden > 0 {
        text += &format!("{hidden} more clusters stand otherwise and have less to tell: `-o json` has them\n");
    }
    text + &legend(&columns, &rows)
}

/// The clusters that plans go to, as the document has them, then those that only plans name.
fn clusters(picture: &Picture) -> Vec<&str> {
    let told = || picture.clusters.iter().map(|site| site.name.as_str());
    let told_of: BTreeSet<&str> = told().collect();
    let named: BTreeSet<&str> = picture.plans.iter().map(|plan| plan.cluster.as_str()).collect();
    let primaries = picture.clusters.iter().filter(|site| !site.is_remote()).map(|site| site.name.as_str());
    primaries.chain(named.into_iter().filter(|name| !told_of.contains(name))).collect()
}

/// One plan, or several that stand alike.
struct Row<'a> {
    repository: Option<&'a str>,
    plan: String,
    /// How many more plans it stands for.
    more: usize,
    cells: Vec<String>,
    reason: String,
    needs_a_person: bool,
}

fn rows<'a>(picture: &'a Picture, clusters: &[&str]) -> Vec<Row<'a>> {
    let sites: BTreeMap<&str, &Site> = picture.clusters.iter().map(|site| (site.name.as_str(), site)).collect();
    let columns: HashMap<&str, usize> = clusters.iter().enumerate().map(|(at, name)| (*name, at)).collect();
    let mut places: HashMap<[&str; 3], usize> = HashMap::new();
    let mut plans: Vec<Vec<&Item>> = Vec::new();
    for item in &picture.plans {
        let key = [item.repository.as_deref().unwrap_or_default(), &item.namespace, &item.name];
        let at = *places.entry(key).or_insert(plans.len());
        match plans.get_mut(at) {
            Some(items) => items.push(item),
            None => plans.push(vec![item]),
        }
    }
    let now = picture.at();
    let row = |items: Vec<&'a Item>| {
        let first = items.first()?;
        let reason = told(&items);
        let mut cells = vec![NOT_FOR_IT.to_owned(); clusters.len()];
        for item in &items {
            let at = columns.get(item.cluster.as_str()).and_then(|at| cells.get_mut(*at));
            let Some(cell) = at else { continue };
            let away = sites.get(item.cluster.as_str()).filter(|site| site.away.is_some());
            *cell = away.map_or_else(|| has(item, reason), |site| age(site, now));
        }
        Some(Row {
            repository: first.repository.as_deref(),
            plan: format!("{}/{}", first.namespace, first.name),
            more: 0,
            cells,
            reason: reason.map_or_else(|| "?".to_owned(), why),
            needs_a_person: reason.is_some_and(|reason| reason.needs_a_person),
        })
    };
    plans.into_iter().filter_map(row).collect()
}

/// What is told of a plan whose clusters were asked one by one: what needs a person, else what it waits for.
fn told<'a>(items: &[&'a Item]) -> Option<&'a Why> {
    let reasons = || items.iter().filter_map(|item| item.reason.as_ref());
    let person = reasons().find(|reason| reason.needs_a_person);
    person.or_else(|| reasons().find(|reason| reason.name != "Settled")).or_else(|| reasons().next())
}

/// The name of a reason and its cluster; where a person is needed, what it says.
fn why(reason: &Why) -> String {
    match &reason.cluster {
        _ if reason.needs_a_person => terminal::cut(&format!("{}: {}", reason.name, reason.message), SENTENCE_CHARS),
        Some(cluster) => format!("{} in {cluster}", reason.name),
        None => reason.name.clone(),
    }
}

/// What a cluster that answers has of a plan.
fn has(item: &Item, reason: Option<&Why>) -> String {
    let risen = item.risen.as_ref().map(|risen| risen.weight).or(item.step.as_ref().map(|step| step.weight));
    let mut text = match item.phase.as_str() {
        "Settled" => SETTLED.to_owned(),
        "WentBack" => "back".to_owned(),
        "Unknown" => "none".to_owned(),
        phase => risen.map_or_else(|| phase.to_lowercase(), |weight| format!("{weight}%")),
    };
    text.extend(reason.filter(|reason| reason.cluster.as_ref() == Some(&item.cluster)).map(|_| HOLDS_UP));
    text
}

/// Since when a cluster does not answer.
fn age(site: &Site, now: Timestamp) -> String {
    let Some(since) = site.away_since else { return AWAY.to_string() };
    match now.as_second().saturating_sub(since.as_second()) {
        ..60 => format!("{AWAY}<1m"),
        seconds @ ..3_600 => format!("{AWAY}{}m", seconds / 60),
        seconds @ ..172_800 => format!("{AWAY}{}h", seconds / 3_600),
        seconds => format!("{AWAY}{}d", seconds / 86_400),
    }
}

/// A cluster, or several that stand alike.
struct Column<'a> {
    clusters: Vec<&'a str>,
    /// Which of the cells in a row are its.
    place: usize,
}

/// The columns; of more than can be shown those first that have most to tell.
fn columns<'a>(clusters: &[&'a str], rows: &[Row<'_>]) -> Vec<Column<'a>> {
    let mut columns: Vec<Column<'a>> = Vec::new();
    let mut alike: HashMap<Vec<&str>, usize> = HashMap::new();
    for (place, cluster) in clusters.iter().enumerate() {
        let known = if clusters.len() > COLUMNS_APART {
            let cells = rows.iter().filter_map(|row| row.cells.get(place)).map(String::as_str).collect();
            *alike.entry(cells).or_insert(columns.len())
        } else {
            columns.len()
        };
        match columns.get_mut(known) {
            Some(column) => column.clusters.push(cluster),
            None => columns.push(Column { clusters: vec![cluster], place }),
        }
    }
    if columns.len() > COLUMNS_MAX {
        let tells = |column: &Column<'_>| {
            let cells = rows.iter().filter_map(|row| row.cells.get(column.place));
            cells.filter(|cell| stands_out(cell)).count()
        };
        columns.sort_by_cached_key(|column| std::cmp::Reverse(tells(column)));
    }
    columns
}

fn stands_out(cell: &str) -> bool {
    cell.starts_with(AWAY) || cell.ends_with(HOLDS_UP)
}

/// The rows with the cells of these columns; of many those that stand alike as one, and first what needs somebody.
fn folded<'a>(rows: Vec<Row<'a>>, columns: &[Column<'_>]) -> Vec<Row<'a>> {
    let shown = rows.into_iter().map(|row| {
        let cells = columns.iter().filter_map(|column| row.cells.get(column.place).cloned()).collect();
        Row { cells, ..row }
    });
    let shown: Vec<Row<'a>> = shown.collect();
    if shown.len() <= ROWS_APART {
        return shown;
    }
    let mut places: HashMap<(Option<&str>, Vec<String>, String), usize> = HashMap::new();
    let mut rows: Vec<Row<'a>> = Vec::new();
    for row in shown {
        let key = (row.repository, row.cells.clone(), row.reason.clone());
        let at = *places.entry(key).or_insert(rows.len());
        match rows.get_mut(at) {
            Some(alike) => alike.more += 1,
            None => rows.push(row),
        }
    }
    let rests = |cell: &String| cell == SETTLED || cell == NOT_FOR_IT;
    rows.sort_by_key(|row| match row {
        row if row.needs_a_person => 0,
        row if row.cells.iter().any(|cell| stands_out(cell)) => 1,
        row if !row.cells.iter().all(rests) => 2,
        _ => 3,
    });
    rows
}

fn drawn(columns: &[Column<'_>], rows: &[Row<'_>]) -> String {
    let several = rows.iter().map(|row| row.repository).collect::<BTreeSet<_>>().len() > 1;
    let many = columns.len() > COLUMNS_APART;
    let named = |name: &str, more: usize, most: usize| {
        let more = if more > 0 { format!(" +{more}") } else { String::new() };
        terminal::plain(&terminal::cut(name, most)) + &more
    };
    let most = if many { CLUSTER_CHARS_OF_MANY } else { CLUSTER_CHARS };
    let firsts = || columns.iter().filter_map(|column| column.clusters.first().copied());
    let head = columns.iter().filter_map(|column| {
        let (first, others) = column.clusters.split_first()?;
        Some(named(first, others.len(), apart(first, firsts(), most)))
    });
    let mut lines: Vec<Vec<String>> = Vec::with_capacity(rows.len() + 1);
    let titles = several.then_some("REPOSITORY").into_iter().chain(["PLAN"]).map(str::to_owned);
    lines.push(titles.chain(head).chain(["REASON".to_owned()]).collect());
    for row in rows {
        let repository = several.then(|| terminal::plain(row.repository.unwrap_or("?")));
        let mut line: Vec<String> = repository.into_iter().collect();
        line.push(named(&row.plan, row.more, PLAN_CHARS));
        line.extend(row.cells.iter().map(|cell| terminal::plain(cell)));
        line.push(terminal::plain(&row.reason));
        lines.push(line);
    }
    terminal::spaced(&lines, if many { 2 } else { 3 })
}

/// The characters, `least` or more, with which none of the others is cut like this name.
fn apart<'a>(name: &str, others: impl Iterator<Item = &'a str> + Clone, least: usize) -> usize {
    let is_apart = |most: &usize| {
        let cut = terminal::cut(name, *most);
        others.clone().all(|other| other == name || terminal::cut(other, *most) != cut)
    };
    (least..name.chars().count()).find(is_apart).unwrap_or(least.max(name.chars().count()))
}

fn legend(columns: &[Column<'_>], rows: &[Row<'_>]) -> String {
    let any = |test: &dyn Fn(&str) -> bool| rows.iter().flat_map(|row| &row.cells).any(|cell| test(cell));
    let is_folded = columns.iter().any(|column| column.clusters.len() > 1) || rows.iter().any(|row| row.more > 0);
    let marks = [
        (any(&|cell| cell.ends_with(HOLDS_UP)), "`!` holds the plan up"),
        (any(&|cell| cell.starts_with(AWAY)), "`?` does not answer, for so long"),
        (any(&|cell| cell == NOT_FOR_IT), "`-` the plan is not for it"),
        (is_folded, "`+` so many more that stand alike"),
    ];
    let used: Vec<&str> = marks.into_iter().filter(|(is_used, _)| *is_used).map(|(_, text)| text).collect();
    if used.is_empty() { String::new() } else { format!("\n{}\n", used.join("; ")) }
}

#[cfg(test)]
mod tests;
