package advice_test

import (
	"errors"
	"fmt"

	"clbwatch/internal/advice"
)

func ExamplePut() {
	denied := func(request string) error {
		return advice.Add(fmt.Errorf("the API refuses: %q, request %q", "Denied", request), "grant it")
	}
	var groups []advice.Group
	groups = advice.Put(groups, 2, "lb-1", denied("4711"))
	groups = advice.Put(groups, 2, "lb-2", errors.New("no answer"))
	groups = advice.Put(groups, 2, "lb-3", denied("4712"))
	groups = advice.Put(groups, 2, "lb-4", errors.New("one too many"))
	for _, g := range groups {
		fmt.Println(g.Names, g.Err, advice.Of(g.Err))
	}
	// Output:
	// [lb-1 lb-3] the API refuses: "Denied", request "4711" grant it
	// [lb-2] no answer
}
