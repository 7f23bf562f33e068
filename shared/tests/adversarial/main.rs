//! The adversarial suite: one named test for each way in which an aggregator or a client can lie.
//!
//! | the aggregator ... | test |
//! |---|---|
//! | names an elimination list | [`lists`]: `a_list_of_survivors_that_singles_somebody_out_is_left`; [`split`]: `an_elimination_list_is_refused_by_everybody_in_a_sparse_cohort` |
//! | splits the list of survivors | [`lists`]: `survivors_lists_that_differ_between_clients_open_nothing`; [`split`]: `a_split_list_of_survivors_opens_nothing` |
//! | splits the list of sharers | [`split`]: `a_split_list_of_sharers_bares_the_target_where_the_quorum_is_relative_to_it`, `a_split_list_of_sharers_opens_nothing_where_the_quorum_is_over_the_roster` |
//! | shows different rosters | [`views`]: `different_rosters_open_no_box_and_no_quorum` |
//! | shows different models or headers | [`views`]: `different_models_open_no_box`, [`messages`]: `a_header_that_lowers_anything_is_left` |
//! | hides edges | [`views`]: `a_hidden_edge_makes_garbage_and_no_sum` |
//! | invents clients | [`sybils`]: `as_many_invented_clients_as_assumed_bare_nobody`, `one_invented_client_more_than_assumed_may_bare_a_client`, `a_client_whose_whole_cohort_is_invented_is_bare` |
//! | replays acknowledgements | [`lists`]: `signatures_of_another_round_do_not_make_a_quorum` |
//! | asks twice | [`lists`]: `a_second_list_or_a_second_question_gets_no_second_answer`; [`split`]: `nobody_opens_both_kinds_of_share_of_one_owner` |
//! | asks for an update again after an abort | [`views`]: `an_aborted_update_is_gone`; `FrozenUpdate`'s documentation does not compile |
//! | lowers floor, noise, clip, g, drop, or anything else | [`messages`]: `a_header_that_lowers_anything_is_left`, `a_task_that_lowers_anything_is_another_task`, `a_policy_that_the_task_falls_below_is_not_joined` |
//! | makes one client hold shares of too many | [`views`]: `more_in_neighbours_than_three_times_the_chosen_are_left` |
//!
//! | a client ... | test |
//! |---|---|
//! | has keys of small order, not canonical, or twice | [`clients`]: `a_join_with_an_x25519_key_of_small_order_is_refused`, `a_join_with_an_ed25519_key_that_is_not_canonical_or_of_small_order_is_refused`, `a_join_with_equal_keys_is_refused`; also `keys.rs` |
//! | opens wrong shares | [`clients`]: `wrong_shares_are_found_by_the_commitment_and_named` |
//! | deals shares that do not fit together | [`clients`]: `an_inconsistent_dealer_aborts_the_round` |
//! | uploads garbage, or too great a weight | [`clients`]: `a_garbage_vector_publishes_nothing`, `a_weight_above_the_most_publishes_nothing` |
//! | uses a token twice | `attested.rs`: `a_token_used_twice_is_refused_by_its_keys` |
//! | is chosen, or chooses, far more often than by chance | [`views`]: `more_in_neighbours_than_three_times_the_chosen_are_left`; [`clients`]: `an_out_list_that_is_too_long_is_refused` |

#[path = "../support/table.rs"]
mod table;

mod clients;
mod lists;
mod messages;
mod split;
mod stage;
mod sybils;
mod views;
