-- Readings, each once. `time` may change for one id (a clock that was put right later), so it is no part of the key.
create table reading (
  gateway_id  text not null,
  log_epoch   text not null,
  seq         bigint not null,
  device_id   text not null,
  patient_id  text,
  metric_type text not null,
  time        timestamptz not null,
  received_at timestamptz not null default now(),
  clock       text,
  replayed    boolean not null,
  payload     jsonb not null,
  primary key (gateway_id, log_epoch, seq)
) partition by hash (gateway_id);

do $$
begin
  for part in 0..7 loop
    execute format('create table reading_%s partition of reading for values with (modulus 8, remainder %s)', part, part);
  end loop;
end $$;

create index reading_by_device on reading (gateway_id, device_id, time);

-- What came of each start of a gateway: a few ranges. A number that is missing is a hole here.
create table arrival (
  gateway_id text not null,
  log_epoch  text not null,
  seqs       int8multirange not null,
  first_live timestamptz,
  last_live  timestamptz,
  primary key (gateway_id, log_epoch)
);

-- What a gateway says of itself, newest first.
create table gateway (
  id           text primary key,
  last_seen    timestamptz not null,
  status       jsonb,
  reported     jsonb,
  clock_offset interval
);

-- Accounts: what a gateway sent of each start, by its own count.
create table account (
  gateway_id text not null,
  log_epoch  text not null,
  broker     text not null,
  body       jsonb not null,
  told_at    timestamptz not null default now(),
  primary key (gateway_id, log_epoch, broker)
);

-- Events of gateways: gaps, dead letters, clock steps. Their numbers are of the same log as the readings'.
create table event (
  gateway_id  text not null,
  log_epoch   text not null,
  seq         bigint not null,
  received_at timestamptz not null default now(),
  payload     jsonb not null,
  primary key (gateway_id, log_epoch, seq)
);

-- What was no reading, and readings whose id has another content already (a copied card): for people to look at.
create table refused (
  id          bigint generated always as identity primary key,
  received_at timestamptz not null default now(),
  topic       text not null,
  why         text not null,
  payload     bytea not null
);
