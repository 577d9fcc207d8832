// A server and a client of net/http: net_http serve PORT, net_http forget URL COUNT.
//
// "forget" makes requests at once and neither reads the bodies of the answers nor closes them.
package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"
)

func main() {
	if os.Args[1] == "serve" {
		http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") })
		panic(http.ListenAndServe(":"+os.Args[2], nil))
	}
	count, _ := strconv.Atoi(os.Args[3])
	kept := []*http.Response{}
	for i := 0; i < count; i++ {
		response, err := http.Get(os.Args[2])
		if err != nil {
			panic(err)
		}
		kept = append(kept, response)
	}
	time.Sleep(time.Hour)
	fmt.Println(len(kept))
}
