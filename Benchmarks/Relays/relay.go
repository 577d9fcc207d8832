// A relay as Go programs have it: io.Copy each way, which splices, and CloseWrite behind it.
//
//	relay PORT TARGET-PORT
package main

import (
	"io"
	"net"
	"os"
	"sync"
)

func pass(from, to net.Conn, both *sync.WaitGroup) {
	defer both.Done()
	io.Copy(to, from)
	to.(*net.TCPConn).CloseWrite()
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		os.Exit(69)
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer client.Close()
			server, err := net.Dial("tcp", "127.0.0.1:"+os.Args[2])
			if err != nil {
				return
			}
			defer server.Close()
			var both sync.WaitGroup
			both.Add(2)
			go pass(client, server, &both)
			pass(server, client, &both)
			both.Wait()
		}()
	}
}
