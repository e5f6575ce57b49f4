# One image with lockstep, lockstep-scheduler and lockstep-controller. The devcluster is for a developer's
# machine and stays out.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ENV CGO_ENABLED=0 GOCACHE=/cache
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/cache \
    make build GO_BUILD_FLAGS=-trimpath BIN=/out PROGRAMS="lockstep lockstep-scheduler lockstep-controller"

FROM gcr.io/distroless/static:nonroot
COPY --from=build /out/ /usr/local/bin/
COPY LICENSE /
USER 65532:65532
ENTRYPOINT ["lockstep"]
