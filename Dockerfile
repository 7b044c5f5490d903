# Berth as an image: docker build --tag berth .
# Node, the libraries it and its native modules are linked with, and Berth; no shell, no package manager, nothing else that would want updates.
# Needs no BuildKit: docker's older builder, podman and buildah build it too.

# Has Node 26, npm and the GNU tools, on glibc. It works here and is no part of the result, which starts from nothing.
ARG NODE_IMAGE=node:26-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /modules
COPY package.json package-lock.json ./
# Without scripts the npm package `node` stays empty, which elsewhere brings a second Node of 150 MB.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund --no-update-notifier

WORKDIR /berth
COPY package.json LICENSE ./
COPY bin bin
COPY src src
# There is no /usr/bin/env in the image.
RUN sed -i '1s|.*|#!/usr/local/bin/node|' bin/berth.js && chmod 755 bin/berth.js

WORKDIR /image
RUN node="$(command -v node)" && \
    mkdir -p /data etc usr/local/bin && \
    cp -L "$node" usr/local/bin/node && \
    for linked in "$node" $(find /modules -name '*.node'); do \
        ldd "$linked" | grep -o '/[^ ]*' | xargs cp -L --parents --target-directory=. || exit 1; \
    done && \
    ln -s /berth/bin/berth.js usr/local/bin/berth && \
    echo 'berth:x:10001:10001:Berth:/data:/sbin/nologin' > etc/passwd && \
    echo 'berth:x:10001:' > etc/group && \
    echo 'hosts: files dns' > etc/nsswitch.conf

FROM scratch
# What changes least comes first: an update sends what has changed.
COPY --from=build /image /
COPY --from=build --chown=10001:10001 /data /data
COPY --from=build /modules/node_modules /berth/node_modules
COPY --from=build /berth /berth
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Berth" \
      org.opencontainers.image.description="A container registry: one command on one machine, many replicas on PostgreSQL and S3" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Health and metrics have a port of their own, so that whoever reaches the registry does not read them.
# Whoever reaches it has to log in, but for what is public: BERTH_ANONYMOUS and BERTH_ADMIN_PASSWORD_FILE say otherwise.
ENV PATH=/usr/local/bin \
    NODE_ENV=production \
    BERTH_LISTEN=0.0.0.0:5000 \
    BERTH_OPERATIONS_LISTEN=0.0.0.0:9090 \
    BERTH_DATA=/data
USER 10001:10001
VOLUME /data
EXPOSE 5000 9090
STOPSIGNAL SIGTERM
# Every 30 seconds, as it starts a Node each time.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["node", "-e", "fetch(`http://${process.env.BERTH_OPERATIONS_LISTEN}/healthz`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["berth"]
CMD ["serve"]
