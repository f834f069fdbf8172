module clbwatch

go 1.26.0

require (
	github.com/caarlos0/env/v11 v11.4.2
	github.com/klauspost/compress v1.20.3
	github.com/slack-go/slack v0.35.0
	github.com/tencentyun/scf-go-lib v0.0.0-20230904103145-13c9a7eeca80
	github.com/urfave/cli/v3 v3.14.0
	golang.org/x/text v0.43.0
	golang.org/x/time v0.16.0
)

require github.com/gorilla/websocket v1.5.3 // indirect
