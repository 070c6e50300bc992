# ingress, worker, migrations and rosterd in one small image; the command chooses which.

FROM rust:1.95-slim-trixie AS build
WORKDIR /source
COPY . .
ARG COMMIT=unknown
# The folders of registry and build stay in the builder's cache, so that a change builds only what it concerns.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    ROSTERD_COMMIT="$COMMIT" cargo build --release --locked -p ingress -p worker -p migrations -p rosterd \
    && install -D -t /programs \
        target/release/ingress target/release/worker target/release/migrations target/release/rosterd

FROM debian:trixie-slim
# The authorities by which certificates of broker and database are checked.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /programs/ /usr/local/bin/
COPY --chmod=755 deploy/healthcheck /usr/local/bin/healthcheck
# Providers on 8080; probes and Prometheus, of workers too, on 8081.
ENV ROSTERD_LISTEN=0.0.0.0:8080 ROSTERD_OPERATIONS_LISTEN=0.0.0.0:8081
EXPOSE 8080 8081
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["healthcheck"]
CMD ["rosterd", "--help"]
