// Our own stand-ins, put at the production addresses of a test's chain: the collaterals and the
// two adapters, by the interface that Polymarket's adapters have. ConditionalTokens is the real one.
pragma solidity ^0.8.20;

contract Token {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    function decimals() external pure returns (uint8) {
        return 6;
    }

    function mint(address to, uint256 value) external {
        balanceOf[to] += value;
        emit Transfer(address(0), to, value);
    }

    function burn(uint256 value) external {
        balanceOf[msg.sender] -= value;
        emit Transfer(msg.sender, address(0), value);
    }

    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
        return true;
    }

    function transfer(address to, uint256 value) external returns (bool) {
        return move(msg.sender, to, value);
    }

    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        require(allowance[from][msg.sender] >= value, "allowance too small");
        if (allowance[from][msg.sender] != type(uint256).max) allowance[from][msg.sender] -= value;
        return move(from, to, value);
    }

    function move(address from, address to, uint256 value) private returns (bool) {
        require(balanceOf[from] >= value, "balance too small");
        balanceOf[from] -= value;
        balanceOf[to] += value;
        emit Transfer(from, to, value);
        return true;
    }
}

interface IConditionalTokens {
    function splitPosition(address, bytes32, bytes32, uint256[] calldata, uint256) external;
    function mergePositions(address, bytes32, bytes32, uint256[] calldata, uint256) external;
    function redeemPositions(address, bytes32, bytes32, uint256[] calldata) external;
    function getCollectionId(bytes32, bytes32, uint256) external view returns (bytes32);
    function getPositionId(address, bytes32) external pure returns (uint256);
    function balanceOf(address, uint256) external view returns (uint256);
    function safeBatchTransferFrom(
        address, address, uint256[] calldata, uint256[] calldata, bytes calldata
    ) external;
}

abstract contract Adapter {
    Token constant PUSD = Token(0xC011a7E12a19f7B1f670d46F03B03f3342E82DFB);
    IConditionalTokens constant CTF = IConditionalTokens(0x4D97DCd97eC945f40cF65F87097ACe5EA0476045);

    bool public paused;

    function collateral() internal pure virtual returns (Token);

    function pause(bool whether) external {
        paused = whether;
    }

    function splitPosition(
        address, bytes32, bytes32 condition, uint256[] calldata, uint256 amount
    ) external {
        require(!paused, "paused");
        PUSD.transferFrom(msg.sender, address(this), amount);
        PUSD.burn(amount);
        collateral().mint(address(this), amount);
        collateral().approve(address(CTF), amount);
        CTF.splitPosition(address(collateral()), 0, condition, both(), amount);
        CTF.safeBatchTransferFrom(address(this), msg.sender, ids(condition), pair(amount, amount), "");
    }

    function mergePositions(
        address, bytes32, bytes32 condition, uint256[] calldata, uint256 amount
    ) external {
        require(!paused, "paused");
        CTF.safeBatchTransferFrom(msg.sender, address(this), ids(condition), pair(amount, amount), "");
        CTF.mergePositions(address(collateral()), 0, condition, both(), amount);
        pay(amount);
    }

    function redeemPositions(address, bytes32, bytes32 condition, uint256[] calldata) external {
        require(!paused, "paused");
        uint256[] memory tokens = ids(condition);
        uint256[] memory held =
            pair(CTF.balanceOf(msg.sender, tokens[0]), CTF.balanceOf(msg.sender, tokens[1]));
        CTF.safeBatchTransferFrom(msg.sender, address(this), tokens, held, "");
        CTF.redeemPositions(address(collateral()), 0, condition, both());
        pay(collateral().balanceOf(address(this)));
    }

    function pay(uint256 amount) private {
        collateral().burn(amount);
        PUSD.mint(msg.sender, amount);
    }

    function ids(bytes32 condition) private view returns (uint256[] memory) {
        return pair(id(condition, 1), id(condition, 2));
    }

    function id(bytes32 condition, uint256 indexSet) private view returns (uint256) {
        return CTF.getPositionId(address(collateral()), CTF.getCollectionId(0, condition, indexSet));
    }

    function both() private pure returns (uint256[] memory) {
        return pair(1, 2);
    }

    function pair(uint256 first, uint256 second) private pure returns (uint256[] memory list) {
        list = new uint256[](2);
        (list[0], list[1]) = (first, second);
    }

    function onERC1155Received(address, address, uint256, uint256, bytes calldata)
        external pure returns (bytes4)
    {
        return this.onERC1155Received.selector;
    }

    function onERC1155BatchReceived(
        address, address, uint256[] calldata, uint256[] calldata, bytes calldata
    ) external pure returns (bytes4) {
        return this.onERC1155BatchReceived.selector;
    }
}

contract StandardAdapter is Adapter {
    function collateral() internal pure override returns (Token) {
        return Token(0x2791Bca1f2de4661ED88A30C99A7a9449Aa84174); // USDC.e
    }
}

contract NegRiskAdapter is Adapter {
    function collateral() internal pure override returns (Token) {
        return Token(0x3A3BD7bb9528E159577F7C2e685CC81A765002E2); // wrapped collateral
    }
}
