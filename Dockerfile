# Build: the TypeScript compiler and the codec generator stay behind in this stage.
FROM node:26-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
COPY scripts ./scripts
COPY protos ./protos
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM node:26-bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends git openssh-client ca-certificates \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY --from=build /build/node_modules ./node_modules
COPY --from=build /build/dist ./dist
COPY package.json LICENSE ./
COPY protos ./protos
COPY migrations ./migrations
# ssh, which git starts, refuses to run as a user without a name; its keys are in /home/larder/.ssh.
RUN groupadd --gid 65532 larder \
 && useradd --uid 65532 --gid 65532 --create-home --shell /usr/sbin/nologin larder \
 && mkdir /data && chown 65532:65532 /data
USER 65532:65532
VOLUME /data
ENV LARDER_DATA=/data LARDER_GRPC_LISTEN=0.0.0.0:8981 LARDER_HTTP_LISTEN=0.0.0.0:9980
EXPOSE 8981 9980
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9980/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/dist/main.js"]
CMD ["serve"]
LABEL org.opencontainers.image.title="Larder" \
      org.opencontainers.image.description="Remote Asset server with content-addressable storage" \
      org.opencontainers.image.licenses="Apache-2.0"
