// The echo server of package crypto/tls's documentation: one goroutine for each connection.
package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strconv"
)

func echo(conn net.Conn, size int) error {
	defer conn.Close()
	buffer := make([]byte, size)
	for {
		n, err := conn.Read(buffer)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := conn.Write(buffer[:n]); err != nil {
			return err
		}
	}
}

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: server FOLDER echo BUFFER")
	}
	pair, err := tls.LoadX509KeyPair(os.Args[1]+"/cert.pem", os.Args[1]+"/key.pem")
	if err != nil {
		log.Fatal(err)
	}
	size, err := strconv.Atoi(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("port", listener.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		// An idle client that is killed ends without close_notify, which is no fault of the server.
		go echo(conn, size)
	}
}
