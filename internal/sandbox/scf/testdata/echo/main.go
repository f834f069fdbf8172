// Echo is a function for the tests of the platform: it does what its event asks.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/tencentyun/scf-go-lib/cloudfunction"
	"github.com/tencentyun/scf-go-lib/functioncontext"
)

func main() {
	// The environment as it was at the start: the library changes it later.
	start := os.Environ()
	fmt.Println("hello from stdout")
	fmt.Fprintln(os.Stderr, "hello from stderr")
	cloudfunction.Start(func(ctx context.Context, event json.RawMessage) (any, error) {
		var e struct{ Do string }
		_ = json.Unmarshal(event, &e) // whatever is not an object is echoed
		switch e.Do {
		case "fail":
			return nil, errors.New("as you wish")
		case "panic":
			panic("as you wish")
		case "exit":
			os.Exit(7)
		case "hang":
			fmt.Println("hanging")
			time.Sleep(time.Minute)
		case "wait":
			<-ctx.Done()
			return nil, ctx.Err()
		case "start":
			return start, nil
		case "now":
			fc, _ := functioncontext.FromContext(ctx)
			deadline, _ := ctx.Deadline()
			return map[string]any{
				"id": os.Getenv("TENCENTCLOUD_SECRETID"), "key": os.Getenv("TENCENTCLOUD_SECRETKEY"),
				"token": os.Getenv("TENCENTCLOUD_SESSIONTOKEN"), "setting": os.Getenv("SETTING"),
				"left": time.Until(deadline).Seconds(), "name": fc.FunctionName,
				"region": fc.TencentcloudRegion,
				"memory": fc.MemoryLimitInMb, "limit": fc.TimeLimitInMs,
				"request": strings.Count(fc.RequestID, "-"),
			}, nil
		}
		return event, nil
	})
}
