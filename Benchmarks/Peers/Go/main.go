// The echo server of package net's documentation: one goroutine for each connection.
//
// Not io.Copy(conn, conn): on Linux it would splice through a pipe for each connection, which is slower for short
// messages and needs two more descriptors.
package main

import (
	"encoding/binary"
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

func count(conn net.Conn, size int) error {
	defer conn.Close()
	buffer := make([]byte, size)
	var total uint64
	for {
		n, err := conn.Read(buffer)
		total += uint64(n)
		if errors.Is(err, io.EOF) {
			return binary.Write(conn, binary.BigEndian, total)
		}
		if err != nil {
			return err
		}
	}
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: server echo|count BUFFER")
	}
	size, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	serve := echo
	if os.Args[1] == "count" {
		serve = count
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("port", listener.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			if err := serve(conn, size); err != nil {
				log.Print(err)
			}
		}()
	}
}
