-- How far a worker has read a stream of RabbitMQ, which does not keep that itself.
create table stream_offset (
  stream text primary key,
  next   bigint not null
);
