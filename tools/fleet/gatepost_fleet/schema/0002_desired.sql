-- Desired state. A document is signed when it is made and kept as it is sent; the process that sends it has no key.
create table rollout (
  id          text primary key,
  version     bigint not null unique,
  state       text not null default 'running' check (state in ('running', 'paused', 'aborted', 'done')),
  reason      text not null default '',
  waves       int[] not null,                 -- gateways of each wave and those before it
  wave        int not null default 0,         -- waves that are released
  success     double precision not null,      -- share that must have applied it before the next wave
  failures    double precision not null,      -- share that ends it
  silence     interval not null,              -- a wave that takes longer is paused
  soak        interval not null,              -- a wave takes at least so long
  started_at  timestamptz not null default now(),
  wave_at     timestamptz not null default now()
);

create table desired (
  gateway_id   text not null,
  version      bigint not null,
  rollout      text not null references rollout,
  wave         int not null,                  -- 1 is the first
  envelope     text not null,                 -- octets that go out
  released_at  timestamptz,                   -- its wave has begun
  sent_at      timestamptz,
  sent         int not null default 0,
  status       text,                          -- of the gateway's report
  report       jsonb,
  reported_at  timestamptz,
  confirmed_at timestamptz,                   -- by a person, where `confirm.manual` asks for one
  told_at      timestamptz,                   -- the gateway, of that
  primary key (gateway_id, version)
);
create index desired_by_rollout on desired (rollout, wave);

alter table gateway
  add column labels jsonb not null default '{}',
  add column desired bigint,                  -- newest released version
  add column have bigint,                     -- version that the gateway named when it asked
  add column asked_at timestamptz;
alter table gateway
  add column backlog_at timestamptz,          -- when a reading came last that had waited at the gateway
  add column backlog_age interval;            -- and how old the newest of them was
-- A gateway that is known by its desired state alone was not heard yet.
alter table gateway alter column last_seen drop not null;

-- The account before the newest: readings of the newest one may still be on their way.
alter table account add column previous jsonb;
