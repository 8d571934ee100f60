-- The people of a tenant. Statements never name the tenant: the policy adds it to each of them, from the setting that
-- a transaction makes with SET LOCAL. Without the setting no row is seen and none can be written. FORCE makes the policy
-- hold for the owner of the tables too, and so for later migrations.
CREATE TABLE people (
    tenant     text NOT NULL DEFAULT current_setting('app.tenant') REFERENCES tenants,
    id         bigint GENERATED ALWAYS AS IDENTITY,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    email      text NOT NULL CHECK (email = lower(email)),
    title      text NOT NULL,
    department text NOT NULL,
    location   text,
    phone      text,
    about      text,
    manager    bigint,
    role       text NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'manager', 'admin')),
    started_on date NOT NULL,
    photo      text,
    thumbnail  text CHECK (thumbnail IN ('waiting', 'ready', 'impossible')),
    version    integer NOT NULL DEFAULT 1,
    changed_at timestamptz NOT NULL DEFAULT now(),
    search     text NOT NULL GENERATED ALWAYS AS
               (lower(name || ' ' || title || ' ' || department || ' ' || email || ' ' || coalesce(location, ''))) STORED,
    PRIMARY KEY (tenant, id),
    CONSTRAINT people_email UNIQUE (tenant, email),
    CONSTRAINT people_photo CHECK ((photo IS NULL) = (thumbnail IS NULL)),
    -- Keys are looked up past the policy: with the tenant in it, the key cannot point into another one.
    CONSTRAINT people_manager FOREIGN KEY (tenant, manager) REFERENCES people (tenant, id)
);
CREATE INDEX people_by_name ON people (tenant, name, id);
CREATE INDEX people_by_manager ON people (tenant, manager);

ALTER TABLE people ENABLE ROW LEVEL SECURITY;
ALTER TABLE people FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON people USING (tenant = current_setting('app.tenant', true));
