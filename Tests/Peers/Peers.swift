import CPeers
