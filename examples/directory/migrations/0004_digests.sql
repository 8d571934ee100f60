-- What a week brought, one row per tenant and week, named by the Monday after it.
CREATE TABLE digests (
    tenant        text NOT NULL DEFAULT current_setting('app.tenant') REFERENCES tenants,
    week          date NOT NULL CHECK (extract(isodow FROM week) = 1),
    people        bigint NOT NULL,
    joined        bigint NOT NULL,
    changed       bigint NOT NULL,
    anniversaries bigint NOT NULL,
    PRIMARY KEY (tenant, week)
);
ALTER TABLE digests ENABLE ROW LEVEL SECURITY;
ALTER TABLE digests FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON digests USING (tenant = current_setting('app.tenant', true));
