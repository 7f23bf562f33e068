//! Stories: an honest one, and some with what may go wrong in it.

pub(crate) fn batch_events() -> Vec<Vec<u8>> {
    vec![
        vec![0, 0, 0, 1, 0, 2, 0, 3, 5],
        // Too few until the deadline, a restart, asked twice.
        vec![0, 0, 4, 0, 1, 0, 0, 3, 0, 255, 0, 2, 5, 4, 5],
        // Changed reports beside true ones.
        vec![2, 0, 70, 0, 9, 0, 0, 0, 1, 2, 3, 200, 0, 1, 0, 2, 0, 3, 5],
        // Some of the batch, then all of it; changed requests and replies.
        vec![
            0, 0, 0, 1, 0, 2, 0, 3, 8, 7, 5, 6, 30, 0, 4, 7, 50, 0, 1, 8, 15,
        ],
        vec![0, 0, 0, 1, 0, 2, 0, 3, 7, 40, 0, 1, 6, 10, 0, 0, 5],
    ]
}

pub(crate) fn round_events() -> Vec<Vec<u8>> {
    let honest = [0, 1].repeat(6);
    let story = |events: &[u8]| [&[1], events].concat();
    vec![
        story(&honest),
        story(&[]),
        // Restarts between, everything twice, a client that comes back.
        story(&[
            14, 0, 14, 1, 14, 0, 1, 6, 0, 6, 3, 0, 14, 13, 2, 0, 1, 0, 1, 14, 0, 1,
        ]),
        // One that goes before each step, deadlines for those that stay away.
        story(&[0, 1, 12, 1, 3, 1, 0, 11, 1, 0, 1, 0, 1, 0, 1]),
        story(&[0, 1, 0, 1, 3, 2, 11, 0, 1, 11, 1, 0, 11]),
        // Changed, cut, on another connection, made up.
        story(&[
            0, 1, 7, 1, 60, 0, 5, 0, 1, 8, 0, 9, 0, 0, 0, 1, 9, 3, 2, 0, 1, 0, 1,
        ]),
        story(&[
            16, 1, 0, 0, 1, 16, 2, 3, 9, 9, 9, 0, 1, 15, 2, 0, 1, 0, 1, 0,
        ]),
        story(&[4, 0, 2, 1, 4, 0, 5, 0, 10, 255, 255, 0, 1, 17, 255]),
    ]
}

pub(crate) fn client_events() -> Vec<Vec<u8>> {
    let story = |events: &[u8]| [&[1], events].concat();
    let honest = [0, 1].repeat(6);
    let until_survivors = [0, 1, 0, 1, 0];
    vec![
        story(&honest),
        // Two lists of survivors to two clients; then signatures of both.
        story(
            &[
                until_survivors.as_slice(),
                &[7, 7, 0, 7, 15, 1, 1, 0, 8, 15, 0, 8, 7, 1],
            ]
            .concat(),
        ),
        // Too few signatures, then enough.
        story(
            &[
                until_survivors.as_slice(),
                &[1, 8, 1, 0, 0, 8, 15, 0, 8, 15, 1, 1],
            ]
            .concat(),
        ),
        story(&[0, 1, 0, 9, 7, 0, 0, 9, 15, 1, 1, 1, 0, 1, 0, 1]),
        story(&[0, 10, 0, 1, 0, 10, 1, 2, 1, 10, 2, 3, 2, 1, 0, 1, 0, 1]),
        story(&[
            0, 1, 0, 1, 4, 3, 0, 5, 2, 9, 0, 5, 1, 0, 1, 0, 1, 4, 5, 2, 4, 6, 1,
        ]),
        story(&[
            0, 1, 12, 1, 0, 1, 11, 0, 11, 4, 11, 1, 3, 0, 0, 1, 13, 2, 14, 0, 1, 14,
        ]),
        story(&[0, 1, 0, 1, 0, 1, 12, 0, 0, 1, 3, 0, 0, 1, 12, 2, 0, 1]),
    ]
}
