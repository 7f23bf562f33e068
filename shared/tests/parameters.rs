//! The search for a sparse graph's parameters against the design's table, and over all sizes.

use choir_shared::secure_sum::{Parameters, corrupt_clients, quorum};

/// `(n, [(m, t, masks) at g = 5 %, drop = 20 %; at 10 %, 30 %; at 20 %, 30 %], q at 10 %)`.
type Row = (u16, [(u16, u16, u16); 3], u16);

const TABLE: [Row; 6] = [
    (10, [(9, 5, 9), (9, 5, 9), (9, 5, 9)], 6),
    // c = ceil(n g / 1000) makes 3 corrupt clients of 50 at 5 %.
    (50, [(14, 6, 24), (19, 7, 31), (25, 11, 37)], 28),
    (100, [(17, 7, 31), (30, 12, 51), (44, 21, 68)], 56),
    (200, [(25, 11, 47), (46, 20, 81), (71, 36, 117)], 111),
    (500, [(36, 17, 69), (65, 29, 122), (102, 52, 183)], 276),
    (1000, [(40, 19, 78), (74, 33, 143), (118, 60, 222)], 551),
];

#[test]
fn every_cell_of_the_table_is_found_again() {
    for (clients, cells, quorum) in TABLE {
        for ((corrupt, drop), expected) in
            [(50, 200), (100, 300), (200, 300)].into_iter().zip(cells)
        {
            let found = Parameters::new(clients, corrupt, drop).expect("parameters");
            let cell = (found.neighbours, found.threshold, found.masks());
            assert_eq!(cell, expected, "n {clients}, g {corrupt}, drop {drop}");
        }
        let default = Parameters::new(clients, 100, 300).expect("parameters");
        assert_eq!(default.quorum, quorum);
    }
}

#[test]
fn the_default_exists_for_every_sparse_size_and_varies_by_little() {
    let mut before = Parameters::new(50, 100, 300).expect("parameters");
    for clients in 50..=1000 {
        let found = Parameters::new(clients, 100, 300).expect("parameters");
        let (m, t) = (found.neighbours, found.threshold);
        assert!(1 < t && t < m && m < clients - 1, "{found:?}");
        assert!(found.quorum <= clients, "{found:?}");
        assert!(m.abs_diff(before.neighbours) <= 2, "{before:?} {found:?}");
        assert!(t.abs_diff(before.threshold) <= 2, "{before:?} {found:?}");
        before = found;
    }
}

#[test]
fn a_cohort_has_parameters_exactly_where_it_has_a_quorum() {
    for clients in (0..=60).chain([200, 999, 1000, 1001, u16::MAX]) {
        for corrupt in [0, 1, 100, 333, 500, 900, 980, 999, 1000, u16::MAX] {
            for drop in [0, 300, 700, 1000, u16::MAX] {
                let found = Parameters::new(clients, corrupt, drop);
                assert_eq!(found.map(|found| found.quorum), quorum(clients, corrupt));
                if let Some(found) = found {
                    assert!(0 < found.threshold && found.threshold <= found.neighbours);
                    assert!(found.neighbours < clients && found.quorum <= clients);
                    assert!(
                        2 * u32::from(found.quorum)
                            > u32::from(clients) + corrupt_clients(clients, corrupt)
                    );
                }
            }
        }
    }
}

#[test]
fn small_cohorts_use_the_complete_graph() {
    let of = |clients, corrupt| {
        Parameters::new(clients, corrupt, 300)
            .map(|found| (found.neighbours, found.threshold, found.quorum))
    };
    assert_eq!(of(10, 100), Some((9, 5, 6)));
    assert_eq!(of(4, 100), Some((3, 2, 3)));
    assert_eq!(of(3, 100), Some((2, 2, 3)));
    assert_eq!(of(49, 100), Some((48, 25, 28)));
    for (clients, corrupt) in [(2, 100), (1001, 100), (3, 1000)] {
        assert_eq!(of(clients, corrupt), None);
    }
}

#[test]
fn where_no_sparse_graph_will_do_the_complete_one_stands_in() {
    let complete = |clients, corrupt, drop| {
        let found = Parameters::new(clients, corrupt, drop).expect("parameters");
        (found.neighbours, found.threshold) == (clients - 1, clients.div_ceil(2))
    };
    assert!(complete(100, 300, 900));
    assert!(complete(1000, 500, 1000));
    assert!(!complete(100, 300, 300));
}

#[test]
fn a_sum_that_opens_holds_the_honest_updates_of_the_table() {
    let honest = |clients| {
        Parameters::new(clients, 100, 300)
            .expect("parameters")
            .honest(100)
    };
    assert_eq!((honest(100), honest(1000)), (46, 451));
}
