# Everything people and CI run. `make` alone lists the targets.
#
# dist/ holds main and the licences, and nothing else: serverless.yml uploads the folder whole. All other output goes to
# build/.

GOLANGCI_LINT := v2.15.0
GO_LICENSES   := v1.6.0
CYCLONEDX     := v1.10.0
GOVULNCHECK   := v1.9.0
TOXIPROXY     := v2.12.0
FUZZTIME      ?= 60s
HISTORIES     ?= 10000
CHANGES       ?= 500

# Of fixed length: git's own choice depends on how many objects a clone has.
VERSION ?= $(or $(shell git describe --tags --always --dirty --abbrev=12 2>/dev/null),dev)

# What the bytes of a binary depend on is said here, not left to the environment: the same commit gives the same bytes.
GOBUILD = CGO_ENABLED=0 GOFLAGS=-trimpath GOEXPERIMENT= go build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'
lint     = build/bin/golangci-lint-$(GOLANGCI_LINT)
licenses = build/bin/go-licenses-$(GO_LICENSES)
sbom     = build/bin/cyclonedx-gomod-$(CYCLONEDX)
vuln     = build/bin/govulncheck-$(GOVULNCHECK)
proxy    = build/bin/toxiproxy-$(TOXIPROXY)
draw     = tools/slack-check/draw
golden   = notifier/message/testdata/$(1).golden.json

.PHONY: help build test check bench sizes demo page package release deploy test-page test-versitygw test-s3rver test-sdk lint fmt fuzz stories campaign month kills break draw images vuln licenses sbom clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build/clbwatch ## the whole story on this machine, with a cloud and a Slack of its own
	go run ./cmd/sandbox -function build/clbwatch

page: build/clbwatch ## the demo's page without its story: buttons at once, until Ctrl-C
	go run ./cmd/sandbox -function build/clbwatch -live

test: ## every test, under the race detector
	tools/test

build: ## the function as SCF runs it: dist/main, static, linux/amd64, and the licences
	GOOS=linux GOARCH=amd64 GOAMD64=v1 $(GOBUILD) -o dist/main .
	install -m 644 LICENSE docs/third-party.md dist/

package: build ## the function as a zip to upload by hand: build/clbwatch.zip, reproducible
	go run ./cmd/package build/clbwatch.zip dist/main dist/LICENSE dist/third-party.md

# The systems that the command line is built for. GOARM64 and GOAMD64 are the oldest.
RELEASES = linux-amd64 linux-arm64 darwin-amd64 darwin-arm64 windows-amd64 windows-arm64

release: package sbom ## build/release: the function's zip, the command line for Linux, macOS and Windows, SBOM and checksums
	rm -rf build/release
	mkdir -p build/release
	set -e; for r in $(RELEASES); do \
		os=$${r%-*} exe= end=tar.gz; [ $$os != windows ] || exe=.exe end=zip; \
		GOOS=$$os GOARCH=$${r#*-} GOAMD64=v1 GOARM64=v8.0 $(GOBUILD) -o build/release/clbwatch$$exe .; \
		go run ./cmd/package build/release/clbwatch-$(VERSION)-$$r.$$end build/release/clbwatch$$exe LICENSE docs/third-party.md; \
		tools/in-licenses build/release/clbwatch$$exe; \
		rm build/release/clbwatch$$exe; done
	cp build/clbwatch.zip build/release/clbwatch-$(VERSION)-function.zip
	cp build/sbom.cdx.json build/release/clbwatch-$(VERSION)-function.cdx.json
	cd build/release && LC_ALL=C sha256sum clbwatch-* >SHA256SUMS
	cat build/release/SHA256SUMS

deploy: build/clbwatch ## bring the function to your account, as .env says (docs/deploy.md)
	build/clbwatch deploy

check: lint package build/clbwatch $(licenses) ## what CI wants beyond test: lint, modules, licences, Slack's rules, deployment, the zip, the story
	go mod tidy -diff
	go mod verify
	tools/licenses $(licenses) check
	tools/slack-check/check notifier/message/testdata/*.golden.json
	tools/manifest-check/check build/clbwatch
	tools/serverless-check/check
	tools/deploy-check/check
	tools/s3-server s3rver
	tools/sdk-check/check build/clbwatch
	tools/page-test
	tools/check-package $(VERSION)
	tools/check-zip
	go run ./cmd/sandbox -function build/clbwatch -fast

test-page: ## the demo's page and a report's in a real browser (Chromium)
	tools/page-test

test-versitygw: ## the COS store against versitygw, a server in a process of its own
	tools/s3-server versitygw

test-s3rver: ## the negative control: a server that ignores conditions, which check must see
	tools/s3-server s3rver

test-sdk: build/clbwatch ## the signatures of API 3.0 against Tencent's SDK on npm
	tools/sdk-check/check build/clbwatch

bench: build/clbwatch build/hello build/bench-go-sdk ## speed, memory and size against the budget (docs/performance.md), in 3 minutes
	go test -run '^$$' -bench . -benchtime 200ms ./internal/clb ./internal/incident ./internal/state ./internal/store ./internal/watch ./notifier ./notifier/message
	go run ./cmd/bench $(BENCH)

sizes: ## what each dependency adds to a hello world (docs/design.md)
	tools/sizes

lint: $(lint) ## format and style, changing nothing
	go vet -tags browser ./...
	$(lint) run

fmt: $(lint) ## format the code
	$(lint) fmt

fuzz: ## every fuzz test in turn, each for FUZZTIME (60s)
	tools/fuzz $(FUZZTIME)

campaign: ## 10,000 random histories (HISTORIES) with the state in files, as many in COS; a few run in `make test`
	go test ./internal/store -run TestCampaign -v -timeout 12h -rapid.checks=$(HISTORIES)

stories: build/clbwatch ## what a day does to the channel: every story replayed, and through Slack, beside its bounds (a minute); short ones run in `make test`
	for s in internal/watchtest/stories/*.jsonl; do \
		for by in --webhook=false --webhook; do build/clbwatch replay --quiet $$by $$s >build/replay.txt || exit 1; done; done
	go test -c -o build/stories.test ./internal/watchtest/stories
	build/stories.test -stories -test.timeout 1h

month: ## 600 load balancers live a month of stories: build/month has its history, report, page and replays (14 minutes)
	mkdir -p build/month
	go test ./internal/e2e -run '^TestMonth$$' -v -timeout 2h -month $(CURDIR)/build/month

kills: $(proxy) ## the built function killed at random moments while 500 backends change (CHANGES), and behind a bad network
	go test ./internal/e2e -run '^(TestKill|TestNetwork)$$' -v -timeout 1h -changes $(CHANGES) -toxiproxy $(CURDIR)/$(proxy)

break: ## break the code on purpose, in many ways, and print which tests notice (20 minutes)
	tools/break/run

draw: ## every golden Slack message as a picture in build/png, to be looked at
	tools/slack-check/draw build/png notifier/message/testdata/*.golden.json

images: ## the pictures in README and docs, from the golden messages
	WIDTH=640 $(draw) docs/img $(call golden,degraded) $(call golden,down-resolved)
	WIDTH=680 CAPTION='04:41: one of three backends stops.' $(draw) build/img $(call golden,incident-1-alert)
	WIDTH=680 CAPTION='04:43: none runs any more. The message is edited, and a reply calls the team.' \
		$(draw) build/img $(call golden,incident-2-worse)+$(call golden,incident-2-worse-update)
	WIDTH=680 CAPTION='04:59: all are back, and have been for ten minutes. It is the same message.' \
		$(draw) build/img $(call golden,incident-3-resolved)
	go run ./cmd/animate docs/img/incident \
		4s build/img/incident-1-alert.png 6s build/img/incident-2-worse.png 6s build/img/incident-3-resolved.png

vuln: $(vuln) ## known vulnerabilities in what is called, by the database at vuln.go.dev
	$(vuln) ./...

licenses: $(licenses) ## docs/third-party.md: the licences of all that the function and its tests are built from
	tools/licenses $(licenses)

sbom: $(sbom) build ## build/sbom.cdx.json: what dist/main is made of, in CycloneDX
	tools/sbom $(sbom) $(VERSION)

clean: ## remove what the other targets made
	rm -rf build dist

# For the machine at hand, and always asked: go knows best what is up to date.
.PHONY: build/clbwatch build/hello build/bench-go-sdk
build/clbwatch:
	$(GOBUILD) -o $@ .

# What bench measures the function against. The SDK's module is its own, so that ours does not depend on it.
build/hello:
	$(GOBUILD) -o $@ ./cmd/bench/testdata/hello
build/bench-go-sdk:
	cd tools/bench-go-sdk && $(GOBUILD) -o $(CURDIR)/$@ .

# Tools, each at one version. It is in the name, so that a new one is installed when it changes.
install = CGO_ENABLED=0 GOFLAGS=-trimpath GOBIN=$(CURDIR)/build/bin go install

$(lint):
	$(install) github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)
	mv build/bin/golangci-lint $@

$(licenses):
	$(install) github.com/google/go-licenses@$(GO_LICENSES)
	mv build/bin/go-licenses $@

$(sbom):
	$(install) github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX)
	mv build/bin/cyclonedx-gomod $@

$(vuln):
	$(install) golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK)
	mv build/bin/govulncheck $@

$(proxy):
	$(install) github.com/Shopify/toxiproxy/v2/cmd/server@$(TOXIPROXY)
	mv build/bin/server $@
