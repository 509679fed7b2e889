# syntax=docker/dockerfile:1
# One image for every role. Node 24 is the image's own, so the platform packages that bring it are left out.
FROM node:24.21.0-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build && npm prune --omit=dev --omit=optional --ignore-scripts

# What Istio's WasmPlugin takes: docker build --target filter .
FROM scratch AS filter
COPY --from=build /app/dist/filter/intermix.wasm /plugin.wasm

FROM node:24.21.0-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json /app/LICENSE ./
COPY --from=build /app/bin ./bin
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY --from=build /app/examples ./examples
# For INTERMIX_SPOOL_DIR: a volume that is mounted here for the first time has its owner.
RUN install -d -o node -g node /var/lib/intermix
# For the sockets of a sidecar.
RUN install -d -o node -g node /run/intermix
USER node
# ext_authz and the other gRPC services, HTTP and forward-auth, admin, metrics made of reports.
EXPOSE 9091 8080 15014 42422
HEALTHCHECK --interval=5s --timeout=2s --start-period=10s --retries=3 \
  CMD ["node", "-e", "require(process.env.INTERMIX_ADMIN_TLS_CERT ? 'https' : 'http').get({ host: '127.0.0.1', port: 15014, path: '/readyz', rejectUnauthorized: false }, (answer) => process.exit(answer.statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]
# bin/memory-flags.js says why; without them the process would start anew.
ENTRYPOINT ["node", "--max-semi-space-size=8", "--heap-growing-percent=40", "bin/intermix.js"]
CMD ["all", "--config", "examples/quickstart"]
