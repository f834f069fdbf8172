module clbwatch/tools/bench-go-sdk

go 1.26.0

require (
	github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/clb v1.0.1000
	github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common v1.3.210
)
