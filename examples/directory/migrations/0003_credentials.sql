-- Password hashes, apart from the people, so that no statement about people can bring one along.
CREATE TABLE credentials (
    tenant        text NOT NULL DEFAULT current_setting('app.tenant'),
    person        bigint NOT NULL,
    password_hash text NOT NULL,
    PRIMARY KEY (tenant, person),
    FOREIGN KEY (tenant, person) REFERENCES people (tenant, id) ON DELETE CASCADE
);
ALTER TABLE credentials ENABLE ROW LEVEL SECURITY;
ALTER TABLE credentials FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON credentials USING (tenant = current_setting('app.tenant', true));

-- Those who run the product. They belong to no tenant.
CREATE TABLE super_admins (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email         text NOT NULL UNIQUE CHECK (email = lower(email)),
    name          text NOT NULL,
    password_hash text NOT NULL
);
