//! Logs: the tail, and what was sealed.

statements! {
    OBJECT_WITH_LINE = "select from_line, lines, object, offset_bytes, length_bytes, footer_bytes \
        from log_objects where run_id = $1 and from_line <= $2 order by from_line desc limit 1";
    /// From the batch that holds a line on.
    TAIL_FROM_LINE = "select from_line, lines, levels, first_utc_us, last_utc_us, data \
        from log_tail where run_id = $1 and from_line >= coalesce((select max(from_line) \
        from log_tail where run_id = $1 and from_line <= $2), $2) order by from_line limit $3";
    LAST_LINE = "select log_line from runs where id = $1";
    DUE_LARGE = "select id from runs where tail_bytes >= $1 order by id limit $2";
    DUE_ENDED = "select id from runs where tail_bytes > 0 and ended_utc_us <= $1 \
        order by ended_utc_us limit $2";
    TAIL_AFTER = "select from_line, lines, levels, first_utc_us, last_utc_us, data from log_tail \
        where run_id = $1 and from_line >= $2 order by from_line limit $3";
    OBJECT_INSERT = "insert into log_objects (run_id, from_line, lines, levels, object, \
        offset_bytes, length_bytes, footer_bytes) values ($1, $2, $3, $4, $5, $6, $7, $8)";
    TAIL_DELETE = "delete from log_tail where run_id = $1 and from_line >= $2 and from_line < $3";
    TAIL_SHRINK = "update runs set tail_bytes = tail_bytes - $2 where id = $1";
    OBJECT_USED = "select 1 from log_objects where object = $1 limit 1";
}
