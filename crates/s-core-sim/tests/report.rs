//! Figures and reports: what is drawn, that it is always the same, and how it is written.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod study;

use std::collections::BTreeSet;
use std::fs;

use proptest::prelude::*;
use roxmltree::Document as Xml;
use s_core_sim::report::study::{Scenario, Study};
use s_core_sim::report::{
    Axis, BarChart, Bars, Chart, Course, Figure, HeatMap, Line, LineChart, Panel, Reference,
    RowChart, Written,
};
use s_core_sim::{DataCentre, InitialPlacement};
use study::study;

fn small() -> Study {
    study(&DataCentre {
        topology: "tree:2,2x2".parse().unwrap(),
        vm_slots: 4,
        vms: 24,
        link_weights: vec![1.0, 10.0],
        ..DataCentre::thesis(InitialPlacement::Random, 3)
    })
}

fn figure(panels: Vec<Panel>) -> Figure {
    Figure {
        name: "figure".into(),
        title: "A title".into(),
        description: "A description".into(),
        columns: 2,
        panels,
        ..Figure::default()
    }
}

fn panel(chart: Chart) -> Panel {
    Panel {
        title: "panel".into(),
        chart,
    }
}

fn lines(course: Course, x: Axis, y: Axis, points: Vec<(f64, f64)>) -> Chart {
    let references = vec![Reference {
        label: "reference".into(),
        value: points.first().map_or(1.0, |point| point.1),
    }];
    let series = vec![Line {
        name: "line".into(),
        points,
        course,
    }];
    Chart::Lines(LineChart {
        x,
        y,
        series,
        references,
    })
}

fn bars(values: Vec<f64>) -> Chart {
    let groups = (0..values.len())
        .map(|group| format!("group {group}"))
        .collect();
    let series = ["a", "b"].map(|name| Bars {
        name: name.into(),
        values: values.clone(),
    });
    Chart::Bars(BarChart {
        x_label: "x".into(),
        groups,
        y_label: "y".into(),
        series: series.into(),
    })
}

fn rows(values: Vec<f64>) -> Chart {
    let rows = values
        .into_iter()
        .map(|value| (format!("{value}"), value))
        .collect();
    Chart::Rows(RowChart {
        label: "label".into(),
        rows,
        written: Written::Percent,
    })
}

fn heat(side: usize, values: Vec<f64>) -> Chart {
    Chart::Heat(HeatMap {
        label: "rack".into(),
        side,
        values,
        extent: side,
    })
}

/// Well-formed, of plain numbers, with the texts for those who do not see it, and not too large.
fn check_svg(svg: &str) {
    assert!(svg.len() <= 300_000, "{} bytes", svg.len());
    let xml = Xml::parse(svg).unwrap();
    let root = xml.root_element();
    let named: BTreeSet<_> = root
        .attribute("aria-labelledby")
        .unwrap()
        .split(' ')
        .collect();
    let texts = root.children().filter(|node| {
        node.has_tag_name(("http://www.w3.org/2000/svg", "title"))
            || node.has_tag_name(("http://www.w3.org/2000/svg", "desc"))
    });
    assert_eq!(
        texts
            .filter_map(|node| node.attribute("id"))
            .collect::<BTreeSet<_>>(),
        named
    );
    let view: Vec<f64> = root
        .attribute("viewBox")
        .unwrap()
        .split(' ')
        .map(|x| x.parse().unwrap())
        .collect();
    let inside = |node: roxmltree::Node<'_, '_>, name, begin: f64, size: f64| {
        let place = node
            .attribute(name)
            .map_or(0.0, |place| place.parse::<f64>().unwrap());
        assert!(
            (begin..=begin + size).contains(&place),
            "{name} {place} of {size}: {node:?}"
        );
    };
    for node in root.descendants() {
        inside(node, "x", view[0], view[2]);
        inside(node, "y", view[1], view[3]);
        for name in ["d", "width", "height", "cx", "cy"] {
            let numbers = node.attribute(name).unwrap_or("");
            assert!(
                !numbers.contains("NaN") && !numbers.contains("inf"),
                "{numbers}"
            );
        }
    }
}

#[test]
fn a_drawing_is_as_it_was() {
    let chart = lines(
        Course::Step,
        Axis::linear("hops"),
        Axis::logarithmic("cost"),
        vec![(0.0, 100.0), (10.0, 30.0), (10.1, 29.9), (40.0, 8.0)],
    );
    let figure = figure(vec![panel(chart), panel(bars(vec![1.0, 2.5]))]);
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/figure.svg");
    let svg = figure.to_svg();
    check_svg(&svg);
    if std::env::var_os("S_CORE_WRITE_GOLDEN").is_some() {
        fs::write(golden, &svg).unwrap();
    }
    assert_eq!(
        svg,
        fs::read_to_string(golden).unwrap(),
        "look at it, then set S_CORE_WRITE_GOLDEN"
    );
    assert_eq!(
        figure.to_csv(),
        "panel,line,hops,cost\npanel,line,0,100\npanel,line,10,30\npanel,line,10.1,29.9\npanel,line,40,8\n\
         panel,reference,,100\n\npanel,x,a,b\npanel,group 0,1,1\npanel,group 1,2.5,2.5\n"
    );
}

#[test]
fn a_report_is_whole() {
    let study = small();
    let document = study.to_document();
    let html = document.to_html();
    assert_eq!(html, study.to_document().to_html());
    let text = serde_json::to_string(&study).unwrap();
    let read: Study = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);

    let names: Vec<_> = document
        .figures()
        .map(|figure| figure.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "cost",
            "migration-cost",
            "racks-distributed",
            "link-load",
            "migrations",
            "idle",
            "systems",
            "systems-link-load"
        ]
    );
    document
        .figures()
        .for_each(|figure| check_svg(&figure.to_svg()));
    // Nothing from elsewhere, nothing that runs; what a link names within the page is there, once.
    for foreign in ["<script", "url(", "@import", "src=", "<link", "<iframe"] {
        assert!(!html.contains(foreign), "{foreign}");
    }
    assert_eq!(
        html.replace("http://www.w3.org/2000/svg", "").find("://"),
        None
    );
    let ids: Vec<_> = html
        .split(" id=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    for target in html
        .split("href=\"#")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
    {
        assert!(ids.contains(&target), "{target}");
    }
    assert!(
        !html.contains("partial")
            && html.contains("<dd>simulate --vms &lt;many&gt; &amp; more</dd>")
    );
}

#[test]
fn absent_parts_are_left_out() {
    let titles = |change: &dyn Fn(&mut Study)| {
        let mut study = small();
        change(&mut study);
        let html = study.to_document().to_html();
        let headings = html.split("<h2 id=\"").skip(1);
        let text = |rest: &str| rest.split(['>', '<']).nth(1).unwrap().to_owned();
        (headings.map(text).collect::<Vec<_>>().join(", "), html)
    };
    let check = |change: &dyn Fn(&mut Study), wanted: &str| assert_eq!(titles(change).0, wanted);
    let all = "Results, Cost over time, Migration cost, Traffic in the network, Migrations and idle servers, Other systems";
    check(&|_| {}, all);
    check(&|study| study.scenarios.clear(), "");
    check(&|study| study.scenarios = vec![Scenario::default()], "");
    check(
        &|study| {
            let scenario = &mut study.scenarios[0];
            scenario.peers.clear();
            scenario.migration_costs.clear();
            scenario
                .policies
                .iter_mut()
                .for_each(|run| run.curve = Default::default());
        },
        "Results, Traffic in the network, Migrations and idle servers",
    );
    let twice = |study: &mut Study| {
        study.scenarios[0].policies.clear();
        study.scenarios[0].migration_costs.clear();
        study.scenarios.push(study.scenarios[0].clone());
        study.partial = Some("seed 7 is missing".into());
    };
    let (headings, html) = titles(&twice);
    let part = "VMs at random: results, VMs at random: traffic in the network, VMs at random: migrations and idle servers, \
                VMs at random: other systems";
    assert_eq!(headings, format!("{part}, {part}"));
    assert!(html.contains("This report is partial: seed 7 is missing."));
    assert!(html.contains("id=\"vms-at-random-systems-2\""));
}

#[test]
fn texts_from_outside_stay_texts() {
    let hostile = "</title></style>\"'<script>alert(1)</script>&\u{0}\u{1b}../../x";
    let mut study = small();
    study.title = hostile.into();
    study.partial = Some(hostile.into());
    study.facts.push((hostile.into(), hostile.into()));
    let scenario = &mut study.scenarios[0];
    scenario.title = hostile.into();
    for run in scenario
        .policies
        .iter_mut()
        .chain(&mut scenario.references)
        .chain(&mut scenario.peers)
    {
        run.name = hostile.into();
    }
    study.scenarios.push(study.scenarios[0].clone());
    let document = study.to_document();
    let html = document.to_html();
    assert!(!html.contains("<script") && !html.contains("</style>\"") && !html.contains('\u{0}'));
    for figure in document.figures() {
        check_svg(&figure.to_svg());
        let plain =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        assert!(figure.name.chars().all(plain), "{}", figure.name);
    }
}

#[test]
fn the_largest_heat_maps_are_small_files() {
    let mut state = 1_u64;
    let mut noise = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64
    };
    let mut map = |side: usize| panel(heat(side, (0..side * side).map(|_| noise()).collect()));
    check_svg(&figure(vec![map(128), map(128), map(128)]).to_svg());
    check_svg(&figure(vec![map(256)]).to_svg());
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![4 => -1.0..1e9_f64, 1 => any::<f64>(), 1 => Just(0.0)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_numbers_make_a_drawing(
        values in prop::collection::vec(any_value(), 0..20),
        log in any::<bool>(),
        side in 0_usize..6,
    ) {
        let axis = |label| if log { Axis::logarithmic(label) } else { Axis::linear(label) };
        let points = || values.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let charts = [
            lines(Course::Step, axis("x"), axis("y"), points()),
            lines(Course::Straight, axis("x"), axis("y"), points()),
            bars(values.clone()),
            rows(values.clone()),
            heat(side, values.clone()),
        ];
        let all = figure(charts.into_iter().map(panel).collect());
        check_svg(&all.to_svg());
        prop_assert!(all.to_csv().lines().count() >= 5);
    }
}

/// To look at: the report of the thesis's data centre.
#[test]
#[ignore = "takes a while; draws the report of the thesis's data centre into the build directory"]
fn draw_the_thesis() {
    let dir = concat!(env!("CARGO_TARGET_TMPDIR"), "/report");
    let study = study(&DataCentre::thesis(InitialPlacement::Random, 1));
    study
        .to_document()
        .figures()
        .for_each(|figure| check_svg(&figure.to_svg()));
    study.write(dir).unwrap();
    let bytes = fs::metadata(format!("{dir}/report.html")).unwrap().len();
    println!("{dir}/report.html: {bytes} bytes");
}
