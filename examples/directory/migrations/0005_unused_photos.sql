-- Photos that nobody has: being uploaded right now, or given up. Written in the transaction that makes them so, and
-- deleted by the worker once their objects are gone, so that none is forgotten in the store.
CREATE TABLE unused_photos (
    tenant text NOT NULL DEFAULT current_setting('app.tenant') REFERENCES tenants,
    person bigint NOT NULL,
    photo  text NOT NULL,
    since  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, photo)
);
ALTER TABLE unused_photos ENABLE ROW LEVEL SECURITY;
ALTER TABLE unused_photos FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON unused_photos USING (tenant = current_setting('app.tenant', true));
