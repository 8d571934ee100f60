//! The real data services of this machine, operated: see [`postgres`] and [`redis`].

mod postgres;
mod redis;

mod ground;
