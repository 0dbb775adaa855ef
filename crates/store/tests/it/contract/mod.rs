//! What both databases must do: one list, run on each.

mod accounts;
mod files;
mod grants;
mod ingest;
mod jobs;
mod labs;
mod logs;
mod news;
mod outcomes;

macro_rules! on_both {
    ($($topic:ident::$name:ident),+ $(,)?) => {
        mod sqlite {
            use crate::harness::Harness;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$topic::$name(Harness::sqlite().await).await;
                }
            )+
        }

        mod postgres {
            use crate::harness::Harness;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$topic::$name(Harness::postgres().await).await;
                }
            )+
        }
    };
}

on_both!(
    accounts::the_first_administrator_is_the_only_one,
    accounts::a_token_is_valid_until_it_is_revoked_or_void,
    accounts::of_many_who_redeem_a_login_link_one_gets_in,
    accounts::acts_are_kept_in_their_order,
    accounts::one_leads_until_his_time_is_over,
    labs::a_lab_that_is_applied_twice_is_one_revision,
    labs::a_board_that_is_removed_is_retired_and_comes_back,
    labs::a_renamed_board_keeps_its_history,
    labs::boards_may_change_their_names,
    labs::a_held_board_is_not_taken_away,
    labs::a_job_never_overwrites_maintenance,
    labs::dispatchers_come_and_go,
    labs::facts_are_taken_from_the_owner_only,
    jobs::a_submission_that_is_repeated_is_the_same_job,
    jobs::many_who_submit_under_one_key_get_one_job,
    jobs::a_list_is_paged_without_holes_or_twins,
    jobs::a_list_is_filtered_by_each_field,
    jobs::a_waiting_job_is_canceled_at_once,
    jobs::a_job_without_a_board_ends_only_while_it_waits,
    grants::a_board_goes_to_one_of_many_jobs,
    grants::a_grant_is_made_once_however_often_it_is_asked_for,
    grants::each_guard_says_no,
    ingest::a_small_run_costs_few_transactions,
    ingest::only_what_follows_on_is_taken,
    ingest::what_comes_twice_is_there_once,
    ingest::nothing_is_taken_from_a_stranger,
    ingest::a_board_is_free_before_its_job_has_ended,
    ingest::an_end_waits_for_what_is_missing,
    outcomes::a_refused_job_waits_again_until_it_had_its_attempts,
    outcomes::a_refusal_that_costs_nothing_does_not_count_as_an_attempt,
    outcomes::a_canceled_job_does_not_wait_again,
    outcomes::a_lost_run_frees_its_board_and_is_heard_no_more,
    outcomes::results_are_read_as_they_came,
    outcomes::a_trend_shows_the_newest_points_in_their_order,
    logs::lines_are_read_from_the_tail_and_from_objects_alike,
    logs::a_search_by_level_skips_what_has_none,
    logs::a_log_is_whole_while_it_is_being_sealed,
    logs::of_two_who_seal_one_does,
    news::no_listener_misses_an_entry_while_many_commit,
    news::a_trimmed_feed_goes_on_counting,
    news::webhooks_are_told_of_what_they_asked_for,
    news::what_is_old_is_removed_in_small_steps_and_what_waits_is_kept,
    news::a_delivery_is_claimed_by_one_and_given_up_in_the_end,
    news::a_webhook_is_told_of_one_thing_after_the_other,
    files::a_file_is_read_whole_and_in_parts,
    files::an_upload_that_broke_off_goes_on,
    files::a_file_that_is_not_as_announced_is_refused,
    files::only_orphans_are_collected,
);
