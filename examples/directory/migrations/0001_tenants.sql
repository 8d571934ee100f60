-- The companies. Which exist is no secret from the API: it must find one by its host before anybody has logged in.
CREATE TABLE tenants (
    id         text PRIMARY KEY CHECK (id ~ '^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$'),
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    created_at timestamptz NOT NULL DEFAULT now()
);
