// Hello is the least that can be a function: what clbwatch's binary and its start are measured against.
package main

import (
	"context"

	"github.com/tencentyun/scf-go-lib/cloudfunction"
)

func main() {
	cloudfunction.Start(func(context.Context) (string, error) { return "hello", nil })
}
