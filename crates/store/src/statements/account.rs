//! Users, tokens, login links, the audit, the scheduler's lead.

macro_rules! users {
    ($rest:literal) => {
        concat!(
            "select u.id, u.name, u.role, u.created_utc_us, u.disabled from users u ",
            $rest
        )
    };
}

macro_rules! tokens {
    ($rest:literal) => {
        concat!(
            "select t.id, t.kind, t.label, t.created_utc_us, t.expires_utc_us, \
             t.last_used_utc_us, t.revoked_utc_us, d.name, u.id, u.name, u.role, \
             u.created_utc_us, u.disabled from tokens t \
             left join users u on u.id = t.user_id \
             left join dispatchers d on d.id = t.dispatcher_id ",
            $rest
        )
    };
}

statements! {
    USER_INSERT = "insert into users (name, role, created_utc_us) values ($1, $2, $3) \
        on conflict (name) do nothing returning id, name, role, created_utc_us, disabled";
    USER_ANY = "select count(*) from users";
    USER_BY_NAME = users!("where u.name = $1");
    USER_BY_ID = users!("where u.id = $1");
    USERS = users!("order by u.name");
    USER_CHANGE = "update users set role = coalesce($2, role), disabled = coalesce($3, disabled) \
        where name = $1 returning id, name, role, created_utc_us, disabled";
    TOKEN_INSERT = "insert into tokens (kind, label, user_id, dispatcher_id, hash, \
        created_utc_us, expires_utc_us) values ($1, $2, $3, $4, $5, $6, $7) returning id";
    TOKEN_BY_HASH = tokens!("where t.hash = $1 and t.revoked_utc_us is null \
        and (t.expires_utc_us is null or t.expires_utc_us > $2) \
        and coalesce(u.disabled, 0) = 0 and coalesce(d.mode, '') <> 'retired'");
    TOKENS = tokens!("order by t.id desc");
    TOKENS_OF_USER = tokens!("where t.user_id = $1 order by t.id desc");
    TOKEN_USED = "update tokens set last_used_utc_us = $2 where id = $1 \
        and (last_used_utc_us is null or last_used_utc_us < $2)";
    TOKEN_REVOKE = "update tokens set revoked_utc_us = $2 where id = $1 \
        and revoked_utc_us is null and (expires_utc_us is null or expires_utc_us > $2)";
    LOGIN_LINK_INSERT = "insert into login_links (hash, user_id, created_utc_us, expires_utc_us) \
        values ($1, $2, $3, $4)";
    LOGIN_LINK_USE = "update login_links set used_utc_us = $2 where hash = $1 \
        and used_utc_us is null and expires_utc_us > $2 returning user_id";
    /// Bounded: nobody waits long for a writer.
    AUDIT_TRIM = "delete from audit where id in (select id from audit where at_utc_us < $1 \
        order by at_utc_us limit $2)";
    AUDIT_INSERT = "insert into audit (at_utc_us, actor, action, target, detail) \
        values ($1, $2, $3, $4, $5)";
    AUDIT = "select id, at_utc_us, actor, action, target, detail from audit \
        where id < $1 order by id desc limit $2";
    LEADER = "select holder, term, expires_utc_us from leader where id = 1";
    LEADER_TAKE = "insert into leader (id, holder, term, expires_utc_us) values (1, $1, 1, $2) \
        on conflict (id) do update set holder = excluded.holder, term = leader.term + 1, \
        expires_utc_us = excluded.expires_utc_us returning term";
    LEADER_RENEW = "update leader set expires_utc_us = $2 where id = 1 and term = $1";
}
