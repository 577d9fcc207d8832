//! The echo server of tokio's documentation, on the runtime of one thread.
use std::{env, io, process};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn echo(mut stream: TcpStream, size: usize) -> io::Result<()> {
    let mut buffer = vec![0; size];
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..n]).await?;
    }
}

async fn count(mut stream: TcpStream, size: usize) -> io::Result<()> {
    let mut buffer = vec![0; size];
    let mut total: u64 = 0;
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return stream.write_all(&total.to_be_bytes()).await;
        }
        total += n as u64;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let words: Vec<String> = env::args().collect();
    let size = match words.get(2).and_then(|word| word.parse().ok()) {
        Some(size) => size,
        None => {
            eprintln!("usage: server echo|count BUFFER");
            process::exit(2);
        }
    };
    let counting = words[1] == "count";
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("port {}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let result = if counting {
                count(stream, size).await
            } else {
                echo(stream, size).await
            };
            if let Err(error) = result {
                eprintln!("{error}");
            }
        });
    }
}
