-- 0006_outbox_refused.sql: rows that Kafka can never take stay here, for the operator, and stop no other row.
-- null: on its way.
alter table registry.outbox add column refused_reason text;
